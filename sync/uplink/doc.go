// Package uplink drains the outbox: it decides when to send which records over
// which transport, and hands what the collector answered back to the outbox. It
// is the sole owner of retrying, and of nothing else: no record is deleted here.
//
// What is under way is in memory only. After a crash every record without a
// receipt is simply due again, and the collector answers "duplicate".
//
// The package does not know what a record says, nor how a transport talks.
package uplink
