package inference

import (
	"errors"
	"slices"
	"sync"

	"github.com/edgeverify/edgeverify/inference/onnx"
)

// pool keeps the runners of one model at one input shape. It makes a runner
// when none is idle, so that there are as many as ever ran at once.
type pool struct {
	session         *onnx.Session
	inputs, outputs [][]int64

	mu   sync.Mutex
	idle []*onnx.Runner
	all  []*onnx.Runner
}

func newPool(session *onnx.Session, inputs, outputs [][]int64) *pool {
	return &pool{session: session, inputs: inputs, outputs: outputs}
}

// run fills a runner's inputs, runs it and reads its outputs, all within one
// borrowed runner. read may be handed the runner only while it lasts.
func (p *pool) run(m *Meter, fill, read func(r *onnx.Runner)) error {
	r, err := p.borrow()
	if err != nil {
		return err
	}
	defer p.giveBack(r)
	fill(r)
	before := r.Elapsed()
	err = r.Run()
	m.add(r.Elapsed() - before)
	if err != nil {
		return err
	}
	read(r)
	return nil
}

func (p *pool) borrow() (*onnx.Runner, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		r := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return r, nil
	}
	r, err := p.session.NewRunner(p.inputs, p.outputs)
	if err != nil {
		return nil, err
	}
	p.all = append(p.all, r)
	return r, nil
}

func (p *pool) giveBack(r *onnx.Runner) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, r)
}

// close frees every runner; none may be running.
func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, r := range slices.Backward(p.all) {
		errs = append(errs, r.Close())
	}
	p.idle, p.all = nil, nil
	return errors.Join(errs...)
}
