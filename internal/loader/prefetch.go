package loader

import (
	"context"
	"sync"
)

const (
	// runBytes is what one read of a shard takes at most: on a store that answers in
	// 50 ms and sends 100 MB a second the answer is then a third of the time, and on a
	// disk a seek is a tenth.
	runBytes = 8 << 20
	// runGap is how many bytes between clips, which belong to clips that are not used,
	// are read rather than a new read begun: sending them takes less than an answer.
	runGap = 512 << 10
	// readersMost bounds the reads of one process at a time.
	readersMost = 16
	// keptMost bounds what a lane notes about clips that need no reading.
	keptMost = 1024
)

// Of a lane's share of memory, shareDrawn of shareParts hold the clips among which it
// draws; the rest is for those on their way, two runs or more.
const (
	shareDrawn = 6
	shareParts = 8
)

// record is a clip on its way: what its shard has of it.
type record struct {
	clip  int32
	draw  int
	at    int64  // in the run it is read with
	bytes int64  // that the lane holds for it
	data  []byte // nil for the worker to read it
	ready bool
	lane  *lane
}

// lane is the records of one lane, each read before it is drawn.
type lane struct {
	number  int
	plans   [2]lanePlan // of even and odd epochs
	epoch   int         // that is being read
	next    int         // of its plan's reads
	end     int         // of the run that begins there, 0 when it is not known
	run     int64       // bytes that the lane holds for it
	used    int         // epoch of the last take
	held    int64       // bytes
	wanted  int         // draw that is waited for, −1 for none
	records map[int]*record
}

// prefetch reads the records of a process's lanes in the order in which they lie, in
// runs, before they are drawn. Draws are counted over all epochs.
type prefetch struct {
	clips   *Clips
	order   *lanes
	began   int   // epoch of order.begin
	share   int64 // bytes that a lane may hold
	run     int64 // bytes of a run
	memory  buffers
	mu      sync.Mutex
	room    *sync.Cond // a lane may have room for a run: a reader waits for that
	arrived *sync.Cond // a run has been read: take waits for that
	lanes   []*lane
	idle    []*record
	readers sync.WaitGroup
}

// newPrefetch begins to read lanes first to first+count−1 from a draw of an epoch on,
// until ctx ends; wait waits for that.
func newPrefetch(ctx context.Context, clips *Clips, order *lanes, first, count int, share int64,
	epoch, draw int) *prefetch {
	p := &prefetch{clips: clips, order: order, began: -1, share: share,
		run: max(1, min(runBytes, share*(shareParts-shareDrawn)/shareParts/2))}
	p.memory = buffers{most: int64(count) * share * 9 / 8, idle: map[int][][]byte{}}
	p.room, p.arrived = sync.NewCond(&p.mu), sync.NewCond(&p.mu)
	for i := range count {
		l := &lane{number: first + i, epoch: epoch, used: epoch, wanted: -1, records: map[int]*record{}}
		p.plan(l)
		plan := &l.plans[epoch&1]
		later := plan.reads[:0]
		for _, r := range plan.reads {
			if int(r.draw) >= draw {
				later = append(later, r)
			}
		}
		plan.reads = later
		p.lanes = append(p.lanes, l)
	}
	context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.room.Broadcast()
		p.arrived.Broadcast()
	})
	for range min(2*count, readersMost) {
		p.readers.Go(func() { p.read(ctx) })
	}
	return p
}

// plan makes the plan of the epoch that l reads.
func (p *prefetch) plan(l *lane) {
	if p.began != l.epoch {
		p.order.begin(l.epoch)
		p.began = l.epoch
	}
	p.order.plan(&l.plans[l.epoch&1], l.epoch, l.number)
	l.next, l.end = 0, 0
}

// take returns the record of a draw of a lane, waiting for it, or nil when ctx ends.
func (p *prefetch) take(ctx context.Context, lane, epoch, draw int) *record {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lanes[lane]
	if l.used != epoch {
		l.used = epoch
		p.room.Signal() // the next epoch may be read
	}
	id := epoch*p.order.perLane + draw
	for ctx.Err() == nil {
		if r := l.records[id]; r != nil && r.ready {
			delete(l.records, id)
			l.wanted = -1
			return r
		}
		if l.wanted != id {
			l.wanted = id
			p.room.Signal()
		}
		p.arrived.Wait()
	}
	return nil
}

// release gives back what take returned.
func (p *prefetch) release(r *record) {
	if r.data != nil {
		p.memory.give(r.data)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.lane.held -= r.bytes
	*r = record{}
	p.idle = append(p.idle, r)
	p.room.Signal()
}

// read reads run after run until ctx ends.
func (p *prefetch) read(ctx context.Context) {
	var run []*record
	p.mu.Lock()
	defer p.mu.Unlock()
	for ctx.Err() == nil {
		if run = p.begin(run[:0]); len(run) == 0 {
			p.room.Wait()
			continue
		}
		p.room.Signal() // another lane may have room as well
		p.mu.Unlock()
		p.fetch(ctx, run)
		p.mu.Lock()
		for _, r := range run {
			r.ready = true
		}
		p.arrived.Broadcast()
	}
}

// begin returns the next run of a lane that is waited for, or else of the one that
// holds least of those that have room for theirs; none if no lane has.
func (p *prefetch) begin(run []*record) []*record {
	var best *lane
	for _, l := range p.lanes {
		p.skipKept(l)
		p.findRun(l)
		if l.end <= l.next {
			continue
		}
		if p.starved(l) {
			best = l
			break
		}
		if l.held+l.run <= p.share && (best == nil || l.held < best.held) {
			best = l
		}
	}
	if best == nil {
		return run
	}
	reads := best.plans[best.epoch&1].reads
	_, from, _ := p.clips.Set.Place(int(reads[best.next].clip))
	for ; best.next < best.end; best.next++ {
		r := p.note(best, reads[best.next])
		_, r.at, r.bytes = p.clips.Set.Place(int(r.clip))
		r.at -= from
		best.held += r.bytes
		run = append(run, r)
	}
	best.end = 0
	return run
}

// starved reports whether the lane's next clip is waited for and not on its way: then
// it is read whatever the lane holds.
func (p *prefetch) starved(l *lane) bool { return l.wanted >= 0 && l.records[l.wanted] == nil }

// note returns a record for a read of the lane.
func (p *prefetch) note(l *lane, of read) *record {
	r := new(record)
	if n := len(p.idle); n > 0 {
		r, p.idle = p.idle[n-1], p.idle[:n-1]
	}
	*r = record{clip: of.clip, draw: l.epoch*p.order.perLane + int(of.draw), lane: l}
	l.records[r.draw] = r
	return r
}

// skipKept notes the lane's next clips that need no reading, and goes on to the next
// epoch when the scheduler is in the one that was read.
func (p *prefetch) skipKept(l *lane) {
	for {
		plan := &l.plans[l.epoch&1]
		for ; l.next < len(plan.reads); l.next++ {
			if len(l.records) >= keptMost && !p.starved(l) || !p.clips.kept(int(plan.reads[l.next].clip)) {
				return
			}
			p.note(l, plan.reads[l.next]).ready = true
			l.end = 0
			p.arrived.Broadcast()
		}
		if l.epoch > l.used {
			return
		}
		l.epoch++
		p.plan(l)
	}
}

// findRun sets the lane's next run, if it is not known yet.
func (p *prefetch) findRun(l *lane) {
	reads := l.plans[l.epoch&1].reads
	if l.end > l.next || l.next == len(reads) {
		return
	}
	shard, from, bytes := p.clips.Set.Place(int(reads[l.next].clip))
	l.run = bytes
	to := from + bytes
	for l.end = l.next + 1; l.end < len(reads); l.end++ {
		s, at, n := p.clips.Set.Place(int(reads[l.end].clip))
		if s != shard || at < to || at-to > runGap || at+n-from > p.run ||
			p.clips.kept(int(reads[l.end].clip)) {
			break
		}
		to, l.run = at+n, l.run+n
	}
}

// fetch reads a run. When that fails, every clip of it is for the worker to read by
// itself, so that what is broken costs the clip alone that it belongs to.
func (p *prefetch) fetch(ctx context.Context, run []*record) {
	last := run[len(run)-1]
	buf := p.memory.take(int(last.at + last.bytes))
	shard, from, _ := p.clips.Set.Place(int(run[0].clip))
	if err := p.clips.Set.ReadRun(ctx, shard, from, buf); err != nil {
		p.memory.give(buf)
		return
	}
	if len(run) == 1 {
		run[0].data = buf
		return
	}
	for _, r := range run { // a copy each: the run would stay until the last is drawn
		r.data = p.memory.take(int(r.bytes))
		copy(r.data, buf[r.at:])
	}
	p.memory.give(buf)
}

// wait returns when nothing is read any more.
func (p *prefetch) wait() { p.readers.Wait() }
