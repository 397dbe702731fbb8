// Package outbox owns the durable queue of records on a device. It gives every
// record its epoch, sequence number and place in the hash chain, signs it, and
// keeps it in one bbolt file until the collector's receipt for exactly these
// bytes is committed.
//
// Put returns only after fsync, and whatever it returned is there after a power
// cut. A record leaves the file in one way only: an acknowledgement with its
// epoch and digest. Quarantine takes it out of the queue and keeps it. What is
// in flight is not written down: after a crash, every record without an
// acknowledgement is due again.
//
// The package knows no verification, no network and no retry policy: bodies are
// bytes with an id, acknowledgements arrive with their signature checked, and
// when to send is the uplink's business.
package outbox
