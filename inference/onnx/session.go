package onnx

import (
	"fmt"

	ort "github.com/yalue/onnxruntime_go"
)

// Spec says how a model is to be run.
type Spec struct {
	// Name of the model, for errors.
	Name string
	// Inputs and Outputs are the names of the graph's tensors, in the order in
	// which a Runner numbers them.
	Inputs, Outputs []string
	// Threads is how many threads share the work inside one operator; 0 means 1.
	Threads int
}

// Session is a model loaded into the runtime: its weights, shared by every
// Runner made from it. Safe for concurrent use.
type Session struct {
	name    string
	inputs  []string
	outputs []string
	session *ort.DynamicAdvancedSession
}

// Load makes a session of the ONNX model in weights, which the runtime copies.
// It fails where the model is malformed. A tensor that spec names and the model
// lacks shows in NewRunner (an input) or in the first Run (an output).
func (*Environment) Load(weights []byte, spec Spec) (*Session, error) {
	options, err := sessionOptions(max(spec.Threads, 1))
	if err != nil {
		return nil, fmt.Errorf("onnx: load %s: %w", spec.Name, err)
	}
	defer options.Destroy()
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(weights, spec.Inputs, spec.Outputs, options)
	if err != nil {
		return nil, fmt.Errorf("onnx: load %s: %w", spec.Name, err)
	}
	return &Session{name: spec.Name, inputs: spec.Inputs, outputs: spec.Outputs, session: session}, nil
}

// sessionOptions: threads do not spin while they wait, for a kiosk idles most
// of its life; denormals are zero, for they cost time and say nothing.
func sessionOptions(threads int) (*ort.SessionOptions, error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	for _, set := range []func() error{
		func() error { return options.SetIntraOpNumThreads(threads) },
		func() error { return options.SetInterOpNumThreads(1) },
		func() error { return options.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll) },
		func() error { return options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0") },
		func() error { return options.AddSessionConfigEntry("session.set_denormal_as_zero", "1") },
	} {
		if err := set(); err != nil {
			options.Destroy()
			return nil, err
		}
	}
	return options, nil
}

// Close frees the weights. Runners must be closed before it.
func (s *Session) Close() error {
	if err := s.session.Destroy(); err != nil {
		return fmt.Errorf("onnx: close %s: %w", s.name, err)
	}
	return nil
}
