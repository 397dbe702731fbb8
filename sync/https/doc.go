// Package https carries batches of records to the collector over HTTPS, as
// POST /v1/results:batch, and verifies the receipts that come back. It also
// enrols a device that trusts on first use.
//
// It owns one HTTP client with hard limits on time, memory and redirects, and
// two quick repetitions of a request. Waiting longer, choosing records and
// deleting them is for others. It does not know what a record says.
package https
