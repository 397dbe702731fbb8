// Package verify is the domain core: what a verification is, how its status
// may move, which checks there are, what a policy demands, and how measurements
// become check results and check results become a decision.
//
// It works in two steps, both pure:
//
//	Judge.Checks   Evidence (with scores) → []Check (results and coarse bands)
//	Decide         Policy, Request, []Check → Decision
//
// Scores stop at the judge. Decide sees results and bands only, so that the
// centre, which never receives a score, repeats every decision with the same
// function.
//
// Both steps fail closed: missing evidence, a number that is not one, a model
// without operating points and an unfinished policy never approve, and the zero
// value of every type here is the one that does not pass.
//
// The package knows no camera, no model runtime, no disk and no network; it
// imports the standard library only.
package verify
