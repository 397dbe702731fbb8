// Package collector is the centre's receiving end: it takes batches of signed
// records from devices, keeps each record once and for ever, and answers with a
// receipt that it signs only after its own durable commit.
//
// It owns the register of device keys, the store of records as they were
// signed, the evidence of equivocation, and the key that signs receipts. Any
// number of deliveries of a record, on any path, make one row: a record is
// unique by (tenant, device, epoch, seq) and by (tenant, device, rid), without a
// time window.
//
// It does not know what a record says: whether an outcome is right, who the
// subject is and what follows from it are for the packages that read Records.
package collector
