package inference

import (
	"errors"
	"fmt"

	"github.com/edgeverify/edgeverify/models"
)

// ErrGolden means that a model does not compute what it computed when it was
// described: another runtime, a broken processor, a wrong file.
var ErrGolden = errors.New("does not compute its golden vector")

// SelfTest runs a model on its golden vectors and compares.
func (e *Engine) SelfTest(name string) error {
	model, err := e.store.Load(name)
	if err != nil {
		return fmt.Errorf("inference: %w", err)
	}
	if len(model.Golden) == 0 {
		return fmt.Errorf("inference: model %s: %w: it has none", name, ErrGolden)
	}
	for _, g := range model.Golden {
		if err := e.compute(model, g); err != nil {
			return fmt.Errorf("inference: model %s: %w", name, err)
		}
	}
	return nil
}

func (e *Engine) compute(model *models.Model, g models.Golden) (err error) {
	var names []string
	var shapes [][]int64
	for _, want := range g.Outputs {
		names, shapes = append(names, want.Name), append(shapes, want.Shape)
	}
	session, err := e.session(model, names)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	r, err := session.NewRunner([][]int64{g.Shape}, shapes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	copy(r.Input(0), g.Elements())
	if err := r.Run(); err != nil {
		return err
	}
	for i, want := range g.Outputs {
		if !g.Match(want, r.Output(i)) {
			return fmt.Errorf("%w: output %q", ErrGolden, want.Name)
		}
	}
	return nil
}
