package onnx_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/edgeverify/edgeverify/inference/onnx"
	"github.com/edgeverify/edgeverify/models/modelstest"
)

// graph is an ONNX model of one operator over x (1×n), giving y. The fields'
// numbers are those of onnx.proto: ModelProto{1 ir_version, 7 graph, 8 opset},
// GraphProto{1 node, 2 name, 11 input, 12 output}.
func graph(op string, in, out []int64) []byte {
	node := message(1, []byte("x"), 2, []byte("y"), 4, []byte(op))
	g := message(1, node, 2, []byte("g"), 11, value("x", in), 12, value("y", out))
	model := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 8)
	opset := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 13)
	return append(model, message(7, g, 8, opset)...)
}

// value is a ValueInfoProto of a float tensor; a negative dimension has no size.
func value(name string, dims []int64) []byte {
	var shape []byte
	for _, d := range dims {
		var dim []byte
		if d >= 0 {
			dim = protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(d))
		}
		shape = append(shape, message(1, dim)...)
	}
	tensor := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1) // FLOAT
	tensor = append(tensor, message(2, shape)...)
	return message(1, []byte(name), 2, message(1, tensor))
}

// message encodes pairs of field number and bytes.
func message(fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		b = protowire.AppendTag(b, protowire.Number(fields[i].(int)), protowire.BytesType)
		b = protowire.AppendBytes(b, fields[i+1].([]byte))
	}
	return b
}

func open(t *testing.T) *onnx.Environment {
	t.Helper()
	library, err := modelstest.Open(t).Runtime()
	if err != nil {
		t.Fatal(err)
	}
	env, err := onnx.Open(library)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	})
	return env
}

func runner(t *testing.T, env *onnx.Environment, op string, in, out, bindOut []int64) *onnx.Runner {
	t.Helper()
	s, err := env.Load(graph(op, in, out), onnx.Spec{Name: op, Inputs: []string{"x"}, Outputs: []string{"y"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r, err := s.NewRunner([][]int64{in}, [][]int64{bindOut})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestRunGivesTheOperatorsResult(t *testing.T) {
	r := runner(t, open(t), "Abs", []int64{1, 3}, []int64{1, 3}, []int64{1, 3})
	for round := range 3 { // the tensors are reused
		copy(r.Input(0), []float32{-1, 2, float32(-round)})
		if err := r.Run(); err != nil {
			t.Fatal(err)
		}
		if got, want := r.Output(0), []float32{1, 2, float32(round)}; got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
			t.Errorf("Abs, round %d: got %v, want %v", round, got, want)
		}
	}
	if r.Elapsed() <= 0 {
		t.Errorf("Elapsed: got %v, want more than 0", r.Elapsed())
	}
}

func TestOutputsThatAreNoMeasurementAreErrors(t *testing.T) {
	env := open(t)
	for _, c := range []struct {
		name, op string
		in       []float32
		bindOut  []int64
		says     string
	}{
		{"NaN", "Log", []float32{1, -1, 1}, []int64{1, 3}, "NaN"},
		{"infinity", "Log", []float32{1, 1, 0}, []int64{1, 3}, "-Inf"},
		{"wrong shape", "Abs", []float32{1, 1, 1}, []int64{1, 4}, "the run failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runner(t, env, c.op, []int64{1, 3}, []int64{1, -1}, c.bindOut)
			copy(r.Input(0), c.in)
			err := r.Run()
			if !errors.Is(err, onnx.ErrOutput) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Run: got %v, want ErrOutput saying %q", err, c.says)
			}
			if c.name == "wrong shape" && !math.IsNaN(float64(r.Output(0)[0])) {
				t.Errorf("after a failed run: got %v, want NaN", r.Output(0)[0])
			}
		})
	}
}

func TestMalformedWeightsAreRefusedByName(t *testing.T) {
	env := open(t)
	good := graph("Abs", []int64{1, 3}, []int64{1, 3})
	for name, weights := range map[string][]byte{
		"no bytes":         nil,
		"not a model":      []byte("%PDF-1.4"),
		"cut short":        good[:len(good)/2],
		"unknown operator": graph("NoSuchThing", []int64{1, 3}, []int64{1, 3}),
	} {
		s, err := env.Load(weights, onnx.Spec{Name: name, Inputs: []string{"x"}, Outputs: []string{"y"}})
		if err == nil {
			t.Errorf("Load(%s): got a session, want an error", name)
			s.Close()
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("Load(%s): got %q, want the model named", name, err)
		}
	}
}

func TestAModelWithoutTheNamedTensorNeverRuns(t *testing.T) {
	env := open(t)
	for name, spec := range map[string]onnx.Spec{
		"input":  {Name: "Abs", Inputs: []string{"z"}, Outputs: []string{"y"}},
		"output": {Name: "Abs", Inputs: []string{"x"}, Outputs: []string{"z"}},
	} {
		s, err := env.Load(graph("Abs", []int64{1, 3}, []int64{1, 3}), spec)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r, err := s.NewRunner([][]int64{{1, 3}}, [][]int64{{1, 3}})
		if err == nil { // the runtime looks for outputs only when it runs
			err = r.Run()
			r.Close()
		}
		if err == nil {
			t.Errorf("a model without the named %s: got a run, want an error", name)
		}
	}
}

func TestASecondEnvironmentIsRefused(t *testing.T) {
	open(t)
	if _, err := onnx.Open("anything.so"); !errors.Is(err, onnx.ErrOpen) {
		t.Errorf("second Open: got %v, want ErrOpen", err)
	}
}

func TestRunnersOfOneSessionWorkInParallel(t *testing.T) {
	env := open(t)
	s, err := env.Load(graph("Abs", []int64{1, 1000}, []int64{1, 1000}), onnx.Spec{Name: "Abs", Inputs: []string{"x"}, Outputs: []string{"y"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	errs := make(chan error)
	for k := range 4 {
		go func() {
			errs <- func() error {
				r, err := s.NewRunner([][]int64{{1, 1000}}, [][]int64{{1, 1000}})
				if err != nil {
					return err
				}
				defer r.Close()
				for range 200 {
					for i := range r.Input(0) {
						r.Input(0)[i] = float32(-k)
					}
					if err := r.Run(); err != nil {
						return err
					}
					for i, v := range r.Output(0) {
						if v != float32(k) {
							return errors.New("runner " + strconv.Itoa(k) + ": element " + strconv.Itoa(i) + " belongs to another runner")
						}
					}
				}
				return nil
			}()
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestSessionsAndRunnersGiveTheirMemoryBack(t *testing.T) {
	env := open(t)
	weights := graph("Abs", []int64{1, 100_000}, []int64{1, 100_000})
	cycle := func() {
		s, err := env.Load(weights, onnx.Spec{Name: "Abs", Inputs: []string{"x"}, Outputs: []string{"y"}})
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.NewRunner([][]int64{{1, 100_000}}, [][]int64{{1, 100_000}})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.Run(), r.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		cycle()
	}
	before := resident(t)
	for range 500 { // 800 kB of tensors each: 400 MB if they stayed
		cycle()
	}
	if grown := resident(t) - before; grown > 40<<20 {
		t.Errorf("500 sessions opened and closed: resident memory grew by %d MiB, want at most 40", grown>>20)
	}
}

// resident is the process's resident memory in bytes.
func resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(b)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
