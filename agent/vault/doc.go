// Package vault is the encrypted store of what the device knows about people:
// verifications with their history, the unsigned payloads of outcomes that are
// on their way to the outbox, and the face references of accounts.
//
// It owns one bbolt file, vault.db. Every value is sealed with an AEAD before
// bbolt sees it, bound to its bucket, key and schema, because bbolt leaves old
// pages in the file; keys are random identifiers or keyed hashes. The sealing
// key is made here and kept in the file, wrapped by the device's key.
//
// An outcome is visible only after it is durable elsewhere: Commit stores the
// outcome beside what was shown before, and MarkDone, which the caller sends
// once the outbox holds the signed record, makes it the one that is shown.
//
// The vault knows no signature, no sequence number, no network and no decision;
// it stores what package verify made.
package vault
