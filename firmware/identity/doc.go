// Package identity owns what makes a device this device: its signing key, its
// data key, its name, and the least that it knows about time.
//
// Keys are files today, which the records say as assurance "low": whoever reads
// the folder is the device. The package hands out a signer and sealers and
// never a private key; it knows neither records nor stores, and callers are
// unchanged when the keys move into a TPM.
package identity
