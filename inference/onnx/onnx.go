// Package onnx runs ONNX models on ONNX Runtime. It owns the one runtime
// environment of a process, sessions, and the tensors bound to them; it is the
// only package that may import the runtime's binding. It does not know what a
// model is for, and it never reads a file: weights reach it as bytes that
// package models has verified.
//
// Tensors are float32, which is what every model of this project takes and
// gives. No runtime value leaves the package: callers see []float32.
package onnx

import (
	"errors"
	"fmt"

	ort "github.com/yalue/onnxruntime_go"
)

// ErrOpen means that this process already has an environment: ONNX Runtime
// keeps one a process.
var ErrOpen = errors.New("onnx: the runtime environment is already open")

// Environment is the process's ONNX Runtime. Close it after every Session.
type Environment struct{}

// Open loads the runtime's shared library from libraryPath and starts its
// environment. The caller verifies the library's digest first.
func Open(libraryPath string) (*Environment, error) {
	if ort.IsInitialized() {
		return nil, ErrOpen
	}
	ort.SetSharedLibraryPath(libraryPath)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return nil, fmt.Errorf("onnx: open %s: %w", libraryPath, err)
	}
	// The runtime's builds for Linux send nothing; this keeps it so whatever build is installed.
	if err := ort.DisableTelemetry(); err != nil {
		return nil, errors.Join(fmt.Errorf("onnx: switch telemetry off: %w", err), ort.DestroyEnvironment())
	}
	return &Environment{}, nil
}

// Version is the version of the loaded runtime library, such as "1.30.0".
func (*Environment) Version() string { return ort.GetVersion() }

// Close ends the environment. Sessions must be closed before it.
func (*Environment) Close() error {
	if err := ort.DestroyEnvironment(); err != nil {
		return fmt.Errorf("onnx: close the environment: %w", err)
	}
	return nil
}
