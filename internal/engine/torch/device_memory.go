package torch

import "unsafe"

type deviceMemoryArgs struct{ free, total, peak *int64 }

// DeviceMemory returns the bytes of a GPU's memory that are free, for other
// programs too, and all it has. ok is false on a CPU, which computes in the host's
// memory, and for a GPU that does not say.
func (e *Engine) DeviceMemory() (free, total int64, ok bool) {
	e.alive()
	f, err := e.lib.symbol("avj_device_memory")
	if err != nil || !e.info.Async {
		return 0, 0, false
	}
	var peak int64
	a := &deviceMemoryArgs{free: &free, total: &total, peak: &peak}
	message := f.call(e.handle, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
	if err := e.lib.fault(message); err != nil {
		return 0, 0, false
	}
	return free, total, total > 0
}
