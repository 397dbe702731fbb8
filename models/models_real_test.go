package models_test

import (
	"testing"

	"github.com/edgeverify/edgeverify/models/modelstest"
)

func TestEveryPreparedModelVerifies(t *testing.T) {
	if err := modelstest.Open(t).Verify(); err != nil {
		t.Errorf("Verify() = %v; run `make setup`", err)
	}
}
