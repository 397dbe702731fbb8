package prepare

import (
	"fmt"

	"github.com/edgeverify/edgeverify/models/graph"
)

// dequantize computes DequantizeLinear (ONNX operators, version 21) on constants:
// (x − zero point)·scale with one scale for the tensor, one per index of an axis, or one
// per block of an axis.
func dequantize(n graph.Node, in []graph.Tensor) (graph.Tensor, error) {
	fault := func(err error) (graph.Tensor, error) { return graph.Tensor{}, err }
	if len(in) < 2 || len(in) > 3 || len(n.Outputs) != 1 {
		return fault(fmt.Errorf("%d inputs and %d outputs, want 2 or 3 and 1", len(in), len(n.Outputs)))
	}
	x, err := in[0].Ints()
	if err != nil {
		return fault(err)
	}
	scale, err := in[1].Floats()
	if err != nil {
		return fault(err)
	}
	zero := make([]int64, len(scale))
	if len(in) == 3 {
		if zero, err = in[2].Ints(); err != nil {
			return fault(err)
		}
		if len(zero) != len(scale) {
			return fault(fmt.Errorf("%d zero points for %d scales", len(zero), len(scale)))
		}
	}
	axis, err := n.Int("axis", 1)
	if err != nil {
		return fault(err)
	}
	block, err := n.Int("block_size", 0)
	if err != nil {
		return fault(err)
	}
	index, err := scaleIndex(in[0].Dims, in[1].Dims, len(scale), axis, block)
	if err != nil {
		return fault(err)
	}
	out := make([]float32, len(x))
	for i, v := range x {
		k := index(i)
		out[i] = float32(v-zero[k]) * scale[k]
	}
	return graph.NewFloats(n.Outputs[0], in[0].Dims, out), nil
}

// scaleIndex tells which scale an element of x belongs to, both counted in row-major order.
func scaleIndex(x, scale []int64, scales int, axis, block int64) (func(int) int, error) {
	if scales == 1 { // per tensor; YuNet carries a block size here, which has no meaning then
		return func(int) int { return 0 }, nil
	}
	rank := int64(len(x))
	if len(x) == 1 {
		axis = 0 // the default axis, 1, does not exist in a vector
	}
	if axis < 0 {
		axis += rank
	}
	if axis < 0 || axis >= rank {
		return nil, fmt.Errorf("axis %d of shape %v", axis, x)
	}
	inner := int64(1)
	for _, d := range x[axis+1:] {
		inner *= d
	}
	length := x[axis]
	if len(scale) == 1 && block == 0 && scale[0] == length {
		return func(i int) int { return int(int64(i) / inner % length) }, nil
	}
	if len(scale) != len(x) || block < 1 {
		return nil, fmt.Errorf("scale of shape %v, axis %d and block size %d do not fit shape %v", scale, axis, block, x)
	}
	for k := range x {
		want := x[k]
		if int64(k) == axis {
			want = (length + block - 1) / block
		}
		if scale[k] != want {
			return nil, fmt.Errorf("blocked scale of shape %v, axis %d, block size %d, shape %v", scale, axis, block, x)
		}
	}
	blocks := scale[axis]
	return func(i int) int {
		outer, along, in := int64(i)/inner/length, int64(i)/inner%length, int64(i)%inner
		return int((outer*blocks+along/block)*inner + in)
	}, nil
}

// reshape computes Reshape (ONNX operators, version 14) on constants.
func reshape(n graph.Node, in []graph.Tensor) (graph.Tensor, error) {
	fault := func(err error) (graph.Tensor, error) { return graph.Tensor{}, err }
	if len(in) != 2 || len(n.Outputs) != 1 {
		return fault(fmt.Errorf("%d inputs and %d outputs, want 2 and 1", len(in), len(n.Outputs)))
	}
	want, err := in[1].Ints()
	if err != nil {
		return fault(err)
	}
	allowZero, err := n.Int("allowzero", 0)
	if err != nil {
		return fault(err)
	}
	total, err := in[0].Len()
	if err != nil {
		return fault(err)
	}
	dims, open, known := make([]int64, len(want)), -1, 1
	for k, d := range want {
		switch {
		case d == -1 && open < 0:
			open = k
			continue
		case d == 0 && allowZero == 0 && k < len(in[0].Dims):
			d = in[0].Dims[k]
		}
		if d < 0 || (d > 0 && int64(known) > int64(total)/d) {
			return fault(fmt.Errorf("shape %v of %d elements", want, total))
		}
		dims[k], known = d, known*int(d)
	}
	if open >= 0 && known > 0 {
		dims[open] = int64(total / known)
		known *= total / known
	}
	if known != total {
		return fault(fmt.Errorf("shape %v of %d elements", want, total))
	}
	return in[0].Renamed(n.Outputs[0], dims)
}
