package library

// rows are the vectors in memory.
type rows struct {
	ids   []int64 // row → clip
	row   map[int64]int
	parts [4]matrix // by modality
}

func newRows(dims int) rows {
	r := rows{row: make(map[int64]int)}
	for i := range r.parts {
		r.parts[i].dims = dims
	}
	return r
}

// vectors are those of a clip by modality, nil where it has none.
type vectors [4][]float32

// put sets the vectors of a clip.
func (r *rows) put(id int64, v *vectors) {
	if at, ok := r.row[id]; ok {
		for _, m := range Modalities {
			r.parts[m].set(at, v[m])
		}
		return
	}
	r.row[id] = len(r.ids)
	r.ids = append(r.ids, id)
	for _, m := range Modalities {
		r.parts[m].push(v[m])
	}
}

// drop removes those of a clip.
func (r *rows) drop(id int64) {
	at, ok := r.row[id]
	if !ok {
		return
	}
	last := len(r.ids) - 1
	r.ids[at] = r.ids[last]
	r.row[r.ids[at]] = at
	r.ids = r.ids[:last]
	delete(r.row, id)
	for _, m := range Modalities {
		r.parts[m].drop(at)
	}
}
