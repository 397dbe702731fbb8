package agent

import (
	"errors"
	"fmt"

	"github.com/edgeverify/edgeverify/agent/examine"
	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/inference"
	"github.com/edgeverify/edgeverify/models"
)

// Workbench is what examines and judges: the part of a device that needs no
// data folder. Measurements work on it, so that they measure what ships.
type Workbench struct {
	Engine   *inference.Engine
	Examiner *examine.Examiner
	Judge    verify.Judge // under the configuration's policy
	Manifest *models.Manifest
}

// OpenWorkbench starts the runtime and takes the operating points from the
// manifest; a model is loaded when it is first needed.
func OpenWorkbench(c Config) (*Workbench, error) {
	policy, err := c.Policy.policy()
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	store, err := models.Open(c.Models)
	if err != nil {
		return nil, err
	}
	w := &Workbench{Manifest: store.Manifest()}
	if w.Judge, err = judge(policy, w.Manifest); err != nil {
		return nil, err
	}
	if w.Engine, err = inference.Open(store, inference.Options{Threads: c.Inference.Threads}); err != nil {
		return nil, err
	}
	w.Examiner = examine.New(w.Engine)
	return w, nil
}

// Close frees the models and the runtime.
func (w *Workbench) Close() error { return w.Engine.Close() }

// Warm loads the models of the face checks, so that the first person does not
// wait for them.
func (w *Workbench) Warm() error {
	_, _, detector := w.Engine.Detector()
	_, _, encoder := w.Engine.Encoder()
	_, _, pad := w.Engine.PAD()
	_, _, pose := w.Engine.HeadPose()
	return errors.Join(detector, encoder, pad, pose)
}

// judge trusts the models of the manifest at the operating points measured for them.
func judge(p verify.Policy, m *models.Manifest) (verify.Judge, error) {
	j := verify.Judge{Policy: p}
	encoder, err := m.Entry(models.FaceEncoder)
	if err != nil {
		return j, err
	}
	face := verify.FaceModel{SHA256: encoder.SHA256}
	for _, point := range encoder.OperatingPoints {
		face.Points = append(face.Points, verify.OperatingPoint{
			ID: point.ID, Rate: point.Rate, Threshold: point.Threshold, EveryCohort: point.Metric == models.FMREveryCohort,
		})
	}
	j.Faces = []verify.FaceModel{face}
	pad, err := m.Entry(models.PAD)
	if err != nil {
		return j, err
	}
	natural, err := pad.OperatingPoint(models.Natural, 0)
	if err != nil {
		return j, err
	}
	at := verify.OperatingPoint{ID: natural.ID, Rate: natural.Rate, Threshold: natural.Threshold}
	j.PAD = []verify.PADModel{{SHA256: pad.SHA256, Accept: at, Refuse: at}}
	return j, nil
}

// FaceOperatingPoint is the point at which the policy compares faces.
func (w *Workbench) FaceOperatingPoint() (models.Entry, models.OperatingPoint, error) {
	encoder, err := w.Manifest.Entry(models.FaceEncoder)
	if err != nil {
		return encoder, models.OperatingPoint{}, err
	}
	policy := w.Judge.Policy
	point, err := encoder.OperatingPoint(FaceMatchConfig{FMR: policy.FMR, EveryCohort: policy.FMRInEveryCohort}.metric(), policy.FMR)
	return encoder, point, err
}
