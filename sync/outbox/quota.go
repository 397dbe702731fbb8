package outbox

import (
	bolt "go.etcd.io/bbolt"

	"github.com/edgeverify/edgeverify/sync/record"
)

const pageSize = 16 << 10

// deletionSlack is room that no put may use: a deletion copies the pages that
// it changes before it frees them, so that a store filled to its last page
// could never be emptied.
const deletionSlack = 48 * pageSize

// growth is the step in which the file grows. bbolt refuses a page when file
// and step together pass MaxSize, so that the step is lost to the quota.
func growth(quota int64) int { return int(min(quota/64, 16<<20)) }

// used returns the bytes of pages in use.
func used(tx *bolt.Tx) int64 {
	s := tx.DB().Stats()
	return tx.Size() - int64(s.FreePageN+s.PendingPageN)*pageSize
}

// room returns the bytes that puts may still use.
func (b *Box) room(tx *bolt.Tx) int64 {
	return b.o.Quota - int64(growth(b.o.Quota)) - deletionSlack - used(tx)
}

// cost is what a record takes of the room, with its entries and the share of
// a page that stays empty.
func cost(raw []byte) int64 {
	return headerSize + int64(len(raw))*5/4 + 256
}

// reserveFor returns the room that a record of kind k must leave free. The last
// twentieth of the quota is kept for what must never wait: decisions,
// deletions, attacks, and the statements that explain missing records.
func (b *Box) reserveFor(k record.Kind) int64 {
	switch k {
	case record.Health, record.Update, record.Audit:
		return b.o.Quota / 20
	}
	return 0
}
