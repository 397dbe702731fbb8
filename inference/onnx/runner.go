package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	ort "github.com/yalue/onnxruntime_go"
)

// ErrOutput means that a model gave something that is no measurement: NaN, an
// infinity, or a tensor of another shape than its description says.
var ErrOutput = errors.New("model output is not usable")

// OutputError says which output of which model was unusable. It wraps ErrOutput.
type OutputError struct {
	Model, Output, Reason string
}

func (e *OutputError) Error() string {
	return fmt.Sprintf("onnx: %s: output %q: %s", e.Model, e.Output, e.Reason)
}

func (e *OutputError) Unwrap() error { return ErrOutput }

// Runner runs a session at fixed shapes, with tensors that are made once and
// reused. It is for one goroutine at a time; make several to work in parallel.
type Runner struct {
	session *Session
	binding *ort.IoBinding
	inputs  []*ort.Tensor[float32]
	outputs []*ort.Tensor[float32]
	in, out [][]float32
	elapsed time.Duration
}

// NewRunner makes a runner whose tensors have the given shapes, in the order
// of the session's inputs and outputs.
func (s *Session) NewRunner(inputs, outputs [][]int64) (*Runner, error) {
	if len(inputs) != len(s.inputs) || len(outputs) != len(s.outputs) {
		return nil, fmt.Errorf("onnx: %s has %d inputs and %d outputs, got shapes for %d and %d",
			s.name, len(s.inputs), len(s.outputs), len(inputs), len(outputs))
	}
	r := &Runner{session: s}
	if err := r.bind(inputs, outputs); err != nil {
		return nil, errors.Join(fmt.Errorf("onnx: bind %s: %w", s.name, err), r.Close())
	}
	return r, nil
}

func (r *Runner) bind(inputs, outputs [][]int64) (err error) {
	if r.binding, err = r.session.session.CreateIoBinding(); err != nil {
		return err
	}
	for i, shape := range inputs {
		t, err := ort.NewEmptyTensor[float32](ort.NewShape(shape...))
		if err != nil {
			return err
		}
		r.inputs, r.in = append(r.inputs, t), append(r.in, t.GetData())
		if err := r.binding.BindInput(r.session.inputs[i], t); err != nil {
			return err
		}
	}
	for i, shape := range outputs {
		t, err := ort.NewEmptyTensor[float32](ort.NewShape(shape...))
		if err != nil {
			return err
		}
		r.outputs, r.out = append(r.outputs, t), append(r.out, t.GetData())
		if err := r.binding.BindOutput(r.session.outputs[i], t); err != nil {
			return err
		}
	}
	return nil
}

// Input is the i-th input tensor, row-major, for the caller to fill before Run.
func (r *Runner) Input(i int) []float32 { return r.in[i] }

// Output is the i-th output tensor, row-major. It holds the latest Run's
// result until the next one.
func (r *Runner) Output(i int) []float32 { return r.out[i] }

// Elapsed is the time spent inside the runtime since the runner was made.
func (r *Runner) Elapsed() time.Duration { return r.elapsed }

// Run computes the outputs from the inputs. An output of another shape than
// the runner was made for, NaN or an infinity is an error wrapping ErrOutput.
func (r *Runner) Run() error {
	for i := range r.out {
		// What a failed or partial run leaves behind must not pass for a result.
		r.out[i][0] = float32(math.NaN())
	}
	start := time.Now()
	err := r.session.session.RunWithBinding(r.binding)
	r.elapsed += time.Since(start)
	if err != nil {
		// The runtime refuses to write into a bound tensor of another shape.
		return fmt.Errorf("%w: %w", &OutputError{Model: r.session.name, Reason: "the run failed"}, err)
	}
	for i, out := range r.out {
		if k := slices.IndexFunc(out, notFinite); k >= 0 {
			return &OutputError{r.session.name, r.session.outputs[i], fmt.Sprintf("element %d of %d is %v", k, len(out), out[k])}
		}
	}
	return nil
}

// notFinite: subtracting a finite number from itself gives zero, NaN and the
// infinities give NaN.
func notFinite(v float32) bool { return v-v != 0 }

// Close frees the tensors.
func (r *Runner) Close() error {
	var errs []error
	if r.binding != nil {
		errs = append(errs, r.binding.Destroy())
	}
	for _, t := range slices.Concat(r.inputs, r.outputs) {
		errs = append(errs, t.Destroy())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("onnx: close a runner of %s: %w", r.session.name, err)
	}
	return nil
}
