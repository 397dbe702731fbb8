package boltpages

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math"
)

const (
	pageHeader  = 16 // id (8), flags (2), count (2), overflow (4)
	pageElement = 16 // branch: pos (4), ksize (4), page (8); leaf: flags, pos, ksize, vsize (4 each)
	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSummed  = 56 // bytes under the checksum that follows them
	flagBranch  = 0x01
	flagLeaf    = 0x02
	flagFree    = 0x10
	leafBucket  = 0x01 // an element that is a bucket: root (8), sequence (8), then an inline page if root is 0
	maxDepth    = 32

	noFreelist = math.MaxUint64 // in the meta page: the list is not written
	manyFree   = 0xFFFF         // in a free list's count: the first number is the count
)

// Check returns an error wrapping ErrDamaged that names the first page of the
// file which cannot be read or breaks bbolt's format. size is that of the file in
// bytes, pageSize that of its pages, or 0 for what the file itself states.
func Check(f io.ReaderAt, size int64, pageSize int) error {
	m, err := readMeta(f, pageSize)
	if err != nil {
		return err
	}
	if m.pages > uint64(size)/m.pageSize {
		return fmt.Errorf("%w: %d pages of %d in a file of %d bytes", ErrDamaged, m.pages, m.pageSize, size)
	}
	w := &walker{file: f, size: m.pageSize, pages: m.pages, seen: make([]bool, m.pages), buckets: true}
	if err := w.page(m.root, nil, nil, 0); err != nil {
		return err
	}
	if m.freelist == noFreelist {
		return nil
	}
	return w.freelist(m.freelist)
}

// meta is what a meta page says.
type meta struct {
	pageSize, root, freelist, pages, txid uint64
}

// readMeta returns the newer valid meta page. The first lies at the file's
// begin, the second one page further, wherever that is.
func readMeta(f io.ReaderAt, pageSize int) (meta, error) {
	sizes := []uint64{uint64(pageSize)}
	if pageSize == 0 {
		sizes = sizes[:0]
		if m, ok := metaAt(f, 0); ok {
			sizes = append(sizes, m.pageSize)
		} else {
			for i := range 15 { // as far as bbolt looks
				sizes = append(sizes, 1024<<i)
			}
		}
	}
	for _, size := range sizes {
		first, ok1 := metaAt(f, 0)
		second, ok2 := metaAt(f, int64(size))
		ok1, ok2 = ok1 && first.pageSize == size, ok2 && second.pageSize == size
		switch {
		case ok2 && (!ok1 || second.txid > first.txid):
			return second, nil
		case ok1:
			return first, nil
		}
	}
	return meta{}, fmt.Errorf("%w: no valid meta page", ErrDamaged)
}

// metaAt reads a meta page and reports whether its checksum holds. A file that
// is cut there, or cannot be read, has none.
func metaAt(f io.ReaderAt, at int64) (meta, bool) {
	buf := make([]byte, pageHeader+metaSummed+8)
	if _, err := f.ReadAt(buf, at); err != nil {
		return meta{}, false
	}
	p := buf[pageHeader:]
	sum := fnv.New64a()
	sum.Write(p[:metaSummed])
	le := binary.LittleEndian
	if le.Uint32(p) != metaMagic || le.Uint32(p[4:]) != metaVersion || le.Uint64(p[metaSummed:]) != sum.Sum64() {
		return meta{}, false
	}
	m := meta{
		pageSize: uint64(le.Uint32(p[8:])),
		root:     le.Uint64(p[16:]),
		freelist: le.Uint64(p[32:]),
		pages:    le.Uint64(p[40:]),
		txid:     le.Uint64(p[48:]),
	}
	return m, m.pageSize >= 1024
}

// walker checks a tree of pages.
type walker struct {
	file    io.ReaderAt
	size    uint64 // of a page
	pages   uint64
	seen    []bool
	buckets bool // whether leaves may hold buckets: in the root tree only
}

func (w *walker) damaged(id uint64, what string) error {
	return fmt.Errorf("%w: page %d: %s", ErrDamaged, id, what)
}

// page checks the page and all below it. Keys must lie in [low, high); a nil
// high is no bound.
func (w *walker) page(id uint64, low, high []byte, depth int) error {
	p, err := w.read(id)
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return w.damaged(id, "too deep")
	}
	switch flags := binary.LittleEndian.Uint16(p[8:]); flags {
	case flagBranch:
		return w.branch(id, p, low, high, depth)
	case flagLeaf:
		return w.leaf(id, p, low, high)
	default:
		return w.damaged(id, "neither branch nor leaf")
	}
}

// read returns the page with its overflow, and marks it as seen.
func (w *walker) read(id uint64) ([]byte, error) {
	if id < 2 || id >= w.pages {
		return nil, w.damaged(id, "outside the file")
	}
	head := make([]byte, pageHeader)
	if _, err := w.file.ReadAt(head, int64(id*w.size)); err != nil {
		return nil, w.damaged(id, err.Error())
	}
	if binary.LittleEndian.Uint64(head) != id {
		return nil, w.damaged(id, "carries another number")
	}
	n := uint64(binary.LittleEndian.Uint32(head[12:])) + 1
	if n > w.pages-id {
		return nil, w.damaged(id, "overflows the file")
	}
	for i := id; i < id+n; i++ {
		if w.seen[i] {
			return nil, w.damaged(i, "used twice")
		}
		w.seen[i] = true
	}
	p := make([]byte, n*w.size)
	if _, err := w.file.ReadAt(p, int64(id*w.size)); err != nil {
		return nil, w.damaged(id, err.Error())
	}
	return p, nil
}

func (w *walker) branch(id uint64, p, low, high []byte, depth int) error {
	elements, err := branchElements(p)
	if err != nil {
		return w.damaged(id, err.Error())
	}
	if len(elements) == 0 {
		return w.damaged(id, "empty branch")
	}
	for i, e := range elements {
		next := high
		if i+1 < len(elements) {
			next = elements[i+1].key
		}
		if !within(e.key, low, next) {
			return w.damaged(id, "keys out of order")
		}
		if err := w.page(e.child, e.key, next, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) leaf(id uint64, p, low, high []byte) error {
	elements, err := leafElements(p)
	if err != nil {
		return w.damaged(id, err.Error())
	}
	for i, e := range elements {
		next := high
		if i+1 < len(elements) {
			next = elements[i+1].Key
		}
		if !within(e.Key, low, next) {
			return w.damaged(id, "keys out of order")
		}
		if e.flags == 0 {
			continue
		}
		if err := w.bucket(id, e); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) bucket(id uint64, e Element) error {
	if e.flags != leafBucket || !w.buckets || len(e.Value) < 16 {
		return w.damaged(id, "a bucket where none belongs")
	}
	w.buckets = false
	defer func() { w.buckets = true }()
	if root := binary.LittleEndian.Uint64(e.Value); root != 0 {
		return w.page(root, nil, nil, 0)
	}
	inline := e.Value[16:]
	if len(inline) < pageHeader || binary.LittleEndian.Uint16(inline[8:]) != flagLeaf {
		return w.damaged(id, "inline bucket without a leaf")
	}
	return w.leaf(id, inline, nil, nil)
}

// freelist checks a synced free list: what it names must be free.
func (w *walker) freelist(id uint64) error {
	p, err := w.read(id)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	if le.Uint16(p[8:]) != flagFree {
		return w.damaged(id, "not a free list")
	}
	count, ids := uint64(le.Uint16(p[10:])), p[pageHeader:]
	if count == manyFree {
		count, ids = le.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return w.damaged(id, "free list does not fit")
	}
	for i := range count {
		free := le.Uint64(ids[8*i:])
		if free < 2 || free >= w.pages || w.seen[free] {
			return w.damaged(id, "names a page as free that is not")
		}
		w.seen[free] = true
	}
	return nil
}

// within reports whether low <= key < high, with nil as no bound.
func within(key, low, high []byte) bool {
	return bytes.Compare(key, low) >= 0 && (high == nil || bytes.Compare(key, high) < 0)
}
