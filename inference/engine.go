package inference

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/edgeverify/edgeverify/inference/onnx"
	"github.com/edgeverify/edgeverify/models"
)

// Options of an Engine.
type Options struct {
	// Threads that share the work inside one operator; 0 means 1, which serves
	// best where several faces are examined at once.
	Threads int
}

// Engine holds the runtime and the models that were asked for. A model is
// verified and loaded when it is first needed, and stays.
type Engine struct {
	store   *models.Store
	env     *onnx.Environment
	options Options
	closed  atomic.Bool

	detector  part[*Detector]
	encoder   part[*Encoder]
	pad       part[*PAD]
	pose      part[*HeadPose]
	landmarks part[*Landmarks]
}

// part is one model with the task that runs over it, once it was needed.
type part[T interface{ close() error }] struct {
	mu      sync.Mutex
	task    T
	entry   models.Entry
	session *onnx.Session
}

// Open verifies the runtime library, loads it and starts its environment. No
// model is read yet.
func Open(store *models.Store, o Options) (*Engine, error) {
	library, err := store.Runtime()
	if err != nil {
		return nil, fmt.Errorf("inference: %w", err)
	}
	env, err := onnx.Open(library)
	if err != nil {
		return nil, fmt.Errorf("inference: %w", err)
	}
	return &Engine{store: store, env: env, options: o}, nil
}

// RuntimeVersion is the version of ONNX Runtime.
func (e *Engine) RuntimeVersion() string { return e.env.Version() }

// Detector is the face detector with its description.
func (e *Engine) Detector() (*Detector, models.Entry, error) {
	return e.detector.get(e, models.FaceDetector, newDetector)
}

// Encoder is the face encoder with its description.
func (e *Engine) Encoder() (*Encoder, models.Entry, error) {
	return e.encoder.get(e, models.FaceEncoder, newEncoder)
}

// PAD is the presentation attack detector with its description.
func (e *Engine) PAD() (*PAD, models.Entry, error) {
	return e.pad.get(e, models.PAD, newPAD)
}

// HeadPose is the head pose estimator with its description.
func (e *Engine) HeadPose() (*HeadPose, models.Entry, error) {
	return e.pose.get(e, models.HeadPose, newHeadPose)
}

// Landmarks is the finder of the 68 landmarks with its description.
func (e *Engine) Landmarks() (*Landmarks, models.Entry, error) {
	return e.landmarks.get(e, models.Landmarks, newLandmarks)
}

func (p *part[T]) get(e *Engine, name string, task func(*onnx.Session) T) (T, models.Entry, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session != nil {
		return p.task, p.entry, nil
	}
	var none T
	if e.closed.Load() {
		return none, models.Entry{}, ErrClosed
	}
	session, entry, err := e.load(name)
	if err != nil {
		return none, models.Entry{}, err
	}
	p.task, p.entry, p.session = task(session), entry, session
	return p.task, p.entry, nil
}

func (e *Engine) load(name string) (*onnx.Session, models.Entry, error) {
	model, err := e.store.Load(name)
	if err != nil {
		return nil, models.Entry{}, fmt.Errorf("inference: %w", err)
	}
	var outputs []string
	for _, out := range model.Outputs {
		outputs = append(outputs, out.Name)
	}
	session, err := e.session(model, outputs)
	entry, size := model.Entry, len(model.ONNX)
	model = nil // the session has its own copy of the weights
	if size > large {
		e.env.GiveBack()
	}
	return session, entry, err
}

// large is the size of a model, in bytes, whose copies are worth giving back at once.
const large = 16 << 20

// session makes a session of a verified model that gives the named outputs.
func (e *Engine) session(model *models.Model, outputs []string) (*onnx.Session, error) {
	spec := onnx.Spec{Name: model.Name, Outputs: outputs, Threads: e.options.Threads}
	for _, in := range model.Inputs {
		spec.Inputs = append(spec.Inputs, in.Name)
	}
	session, err := e.env.Load(model.ONNX, spec)
	if err != nil {
		return nil, fmt.Errorf("inference: %w", err)
	}
	return session, nil
}

func (p *part[T]) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session == nil {
		return nil
	}
	err := errors.Join(p.task.close(), p.session.Close())
	p.session = nil
	return err
}

// ErrClosed is returned after Close.
var ErrClosed = errors.New("inference: the engine is closed")

// Close frees every task, model and the runtime. Nothing may be running.
func (e *Engine) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	var errs []error
	for _, close := range slices.Backward([]func() error{
		e.env.Close, e.detector.close, e.encoder.close, e.pad.close, e.pose.close, e.landmarks.close,
	}) {
		errs = append(errs, close())
	}
	return errors.Join(errs...)
}
