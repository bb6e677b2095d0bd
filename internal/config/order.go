package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// mostLanes is the most lanes that are chosen, but for one of each process: more of
// them read more shards side by side, each with a smaller share of memory.
const mostLanes = 16

// order returns the order of clips: shards for data whose folder is the location of a
// store, such as s3://bucket/data, unless it was chosen.
func (d *Data) order() string {
	if d.Order == "" && strings.Contains(d.Dir, "://") {
		return OrderShards
	}
	if d.Order == "" {
		return OrderClips
	}
	return d.Order
}

// lanes returns the lanes of the order shards for so many processes: those chosen, or
// the largest divisor of the batch up to mostLanes that processes divides.
func (c *Config) lanes(processes int) int {
	if c.Data.Lanes > 0 {
		return c.Data.Lanes
	}
	for n := mostLanes / processes * processes; n > 0; n -= processes {
		if c.Train.BatchSize%n == 0 {
			return n
		}
	}
	return processes
}

// ResolveOrder sets what data.order and data.lanes leave open, for a run of so many
// processes: it goes on with the same values, wherever it is resumed. It returns an
// error when the lanes cannot be dealt out to the processes.
func (c *Config) ResolveOrder(processes int) error {
	order := c.Data.order()
	if c.Data.Order == "" {
		if err := c.Set("data.order", order, "chosen"); err != nil {
			return err
		}
	}
	if order != OrderShards {
		return nil
	}
	n := c.lanes(processes)
	if n%processes != 0 {
		return fmt.Errorf("config: data.lanes = %d cannot be dealt out to %d processes: use as many that "+
			"their number divides it (a run that has begun keeps its lanes)", n, processes)
	}
	if c.Data.Lanes > 0 {
		return nil
	}
	return c.Set("data.lanes", strconv.Itoa(n), "chosen")
}

// checkOrder reports what cannot be used of the keys about the order of clips.
func (c *Config) checkOrder() (errs []error) {
	d := &c.Data
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("config: "+format, args...)) }
	if orders := []string{"", OrderClips, OrderShards}; !slices.Contains(orders, d.Order) {
		bad("data.order = %q: want one of %q", d.Order, orders)
	}
	if s := []string{SamplingUniform, SamplingBalanced}; !slices.Contains(s, d.Sampling) {
		bad("data.sampling = %q: want one of %q", d.Sampling, s)
	}
	if d.Lanes < 0 || d.Lanes > 1<<16 {
		bad("data.lanes = %d: outside 0 to %d", d.Lanes, 1<<16)
	}
	if d.ShuffleMB < 1 || d.ShuffleMB > 1<<30 {
		bad("data.shuffle_mb = %d: outside 1 to %d", d.ShuffleMB, 1<<30)
	}
	if d.order() != OrderShards {
		return errs
	}
	if d.Lanes > 0 && c.Train.BatchSize%d.Lanes != 0 {
		bad("data.lanes = %d does not divide train.batch_size = %d", d.Lanes, c.Train.BatchSize)
	}
	if d.Sampling == SamplingBalanced {
		bad("data.sampling = %q draws any clip at any time, which data.order = %q cannot read: "+
			"set data.order = %q, or data.sampling = %q", SamplingBalanced, OrderShards, OrderClips,
			SamplingUniform)
	}
	return errs
}
