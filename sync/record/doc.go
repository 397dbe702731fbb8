// Package record defines what a device hands to the centre: one outcome as a
// signed, hash-chained byte string, made once and never serialised again. Every
// hop (outbox, batch, transport, collector, archive) carries the same bytes, so
// that one digest names a record everywhere and for ever.
//
// A record is a JWS in compact serialisation (RFC 7515) over a JSON envelope.
// Exactly one byte string encodes a given envelope, header and signature:
// Verify refuses every other spelling, because two spellings of one record
// would be two digests, and a middleman could turn a delivery into an
// equivocation.
//
// The package knows no queue, no network, no disk and no domain rule: whether
// an outcome is right is for others to say. It depends on nothing of this
// project.
package record
