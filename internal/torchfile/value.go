package torchfile

import "fmt"

// Values are nil, bool, int64, float64, string, *Tuple, *List, *Dict, *Tensor and
// Opaque.

// List is a Python list, or a set.
type List struct{ Items []any }

// Tuple is a Python tuple, or a torch.Size.
type Tuple struct{ Items []any }

// Opaque stands for an object that was left unread.
type Opaque struct{ Name string } // "numpy dtype"

// Item is a key of a Dict with its value.
type Item struct{ Key, Value any }

// Dict is a Python dict, in the order of its file.
type Dict struct {
	Items     []Item
	byName    map[string]int // of the keys that are texts
	namespace bool           // its attributes are its items
}

func (d *Dict) set(key, value any) error {
	switch k := key.(type) {
	case string:
		if _, twice := d.byName[k]; twice {
			return fmt.Errorf("%w: key %.80q twice in a dict", ErrFormat, k)
		}
		if d.byName == nil {
			d.byName = map[string]int{}
		}
		d.byName[k] = len(d.Items)
	case int64, bool, float64, nil, *Tuple, Opaque:
	default:
		return fmt.Errorf("%w: a dict's key is a %T", ErrFormat, key)
	}
	d.Items = append(d.Items, Item{key, value})
	return nil
}

// Get returns the value of a key that is a text, nil without one.
func (d *Dict) Get(key string) any {
	if d == nil {
		return nil
	}
	if i, ok := d.byName[key]; ok {
		return d.Items[i].Value
	}
	return nil
}

// Dict returns the dict of that key, nil if there is none; a nil Dict has no keys.
func (d *Dict) Dict(key string) *Dict {
	sub, _ := d.Get(key).(*Dict)
	return sub
}

// Tensor returns the tensor of that key, nil if there is none.
func (d *Dict) Tensor(key string) *Tensor {
	t, _ := d.Get(key).(*Tensor)
	return t
}

// Int returns the whole number of that key, and whether there is one.
func (d *Dict) Int(key string) (int64, bool) {
	n, ok := d.Get(key).(int64)
	return n, ok
}

// Ints returns the whole numbers of that key's tuple or list, nil for anything else;
// of a number alone, that one.
func (d *Dict) Ints(key string) []int64 {
	var items []any
	switch v := d.Get(key).(type) {
	case *Tuple:
		items = v.Items
	case *List:
		items = v.Items
	case int64:
		return []int64{v}
	}
	out := make([]int64, 0, len(items))
	for _, v := range items {
		n, ok := v.(int64)
		if !ok {
			return nil
		}
		out = append(out, n)
	}
	return out
}

// survey walks what a pickle has built, once each.
type survey struct{ size map[any]int } // of containers: 0 while under way

// expanded returns how many values v is when what it shares is counted each time:
// the walk is as long as the pickle, the number may be exponential in it.
func (s *survey) expanded(v any, depth int) (int, error) {
	var parts func(yield func(any) bool)
	switch v := v.(type) {
	case *List:
		parts = each(v.Items)
	case *Tuple:
		parts = each(v.Items)
	case *Dict:
		parts = func(yield func(any) bool) {
			for _, it := range v.Items {
				if !yield(it.Key) || !yield(it.Value) {
					return
				}
			}
		}
	case global:
		return 0, fmt.Errorf("%w: %s stands where data should", ErrRefused, v)
	case *storage:
		return 0, fmt.Errorf("%w: a storage without a tensor", ErrFormat)
	default:
		return 1, nil
	}
	if n, seen := s.size[v]; seen {
		if n == 0 {
			return 0, fmt.Errorf("%w: a container holds itself", ErrFormat)
		}
		return n, nil
	}
	if depth == maxDepth {
		return 0, fmt.Errorf("%w: containers nested more than %d deep", ErrFormat, maxDepth)
	}
	s.size[v] = 0
	n := 1
	for p := range parts {
		m, err := s.expanded(p, depth+1)
		if err != nil {
			return 0, err
		}
		if n += m; n > maxExpanded {
			return 0, fmt.Errorf("%w: shared values unfold to more than %d", ErrFormat, maxExpanded)
		}
	}
	s.size[v] = n
	return n, nil
}

func each(items []any) func(yield func(any) bool) {
	return func(yield func(any) bool) {
		for _, v := range items {
			if !yield(v) {
				return
			}
		}
	}
}
