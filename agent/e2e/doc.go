// Package e2e holds the tests that start the built program, bin/edgeverify, as
// its users do: a daemon and a collector as processes of their own, commands
// beside them, kill -9 in between. What it asserts is what a user could see:
// exit codes, output, files, the admin socket, the collector's list.
//
// It knows no package's inside; only an outbox that is full at the start is
// filled through the packages that own it. The tests carry the tags e2e (make
// e2e) and soak (make soak).
package e2e
