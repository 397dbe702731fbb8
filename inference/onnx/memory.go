package onnx

// #include <malloc.h>
import "C"

import "runtime/debug"

// GiveBack returns to the system what loading models left behind: the copies
// of weights that were parsed, in Go's heap and in the C library's.
func (*Environment) GiveBack() {
	debug.FreeOSMemory()
	C.malloc_trim(0)
}
