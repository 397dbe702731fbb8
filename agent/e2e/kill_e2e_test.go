//go:build e2e

package e2e

import "testing"

func TestKilledDaemonLosesNoOutcomeThatWasShown(t *testing.T) { losesNothingShown(t, 1000, 25) }
