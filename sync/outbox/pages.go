package outbox

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"
)

// This file reads bbolt's file format (version 2) without bbolt. bbolt walks
// every page of the file in a goroutine of its own while it opens a store
// without a synced free list, and a page that makes no sense ends the process
// there. So every page is checked here before bbolt sees the file.

const (
	pageHeader  = 16 // id (8), flags (2), count (2), overflow (4)
	pageElement = 16 // branch: pos (4), ksize (4), page (8); leaf: flags, pos, ksize, vsize (4 each)
	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSummed  = 56 // bytes under the checksum that follows them
	flagBranch  = 0x01
	flagLeaf    = 0x02
	leafBucket  = 0x01 // an element that is a bucket: root (8), sequence (8), then an inline page if root is 0
	maxDepth    = 32
)

// checkFile returns an error wrapping ErrDamaged that names the first page of
// the store that breaks bbolt's format.
func checkFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	root, pages, err := readMeta(f)
	if err != nil {
		return err
	}
	if int64(pages)*pageSize > info.Size() {
		return fmt.Errorf("%w: %d pages in a file of %d bytes", ErrDamaged, pages, info.Size())
	}
	w := &walker{file: f, pages: pages, seen: make([]bool, pages), buckets: true}
	return w.page(root, nil, nil, 0)
}

// readMeta returns the root page and the number of pages of the newer valid
// meta page.
func readMeta(f *os.File) (root, pages uint64, err error) {
	var newest uint64
	found := false
	buf := make([]byte, pageHeader+metaSummed+8)
	for i := range int64(2) {
		if _, err := f.ReadAt(buf, i*pageSize); err != nil {
			continue // a file cut here has no valid meta page there
		}
		m := buf[pageHeader:]
		sum := fnv.New64a()
		sum.Write(m[:metaSummed])
		le := binary.LittleEndian
		if le.Uint32(m) != metaMagic || le.Uint32(m[4:]) != metaVersion ||
			le.Uint32(m[8:]) != pageSize || le.Uint64(m[metaSummed:]) != sum.Sum64() {
			continue
		}
		if txid := le.Uint64(m[48:]); !found || txid > newest {
			found, newest = true, txid
			root, pages = le.Uint64(m[16:]), le.Uint64(m[40:])
		}
	}
	if !found {
		return 0, 0, fmt.Errorf("%w: no valid meta page", ErrDamaged)
	}
	return root, pages, nil
}

// walker checks a tree of pages.
type walker struct {
	file    *os.File
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
	if _, err := w.file.ReadAt(head, int64(id)*pageSize); err != nil {
		return nil, err
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
	p := make([]byte, n*pageSize)
	if _, err := w.file.ReadAt(p, int64(id)*pageSize); err != nil {
		return nil, err
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
			next = elements[i+1].key
		}
		if !within(e.key, low, next) {
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

func (w *walker) bucket(id uint64, e leafElement) error {
	if e.flags != leafBucket || !w.buckets || len(e.value) < 16 {
		return w.damaged(id, "a bucket where none belongs")
	}
	w.buckets = false
	defer func() { w.buckets = true }()
	if root := binary.LittleEndian.Uint64(e.value); root != 0 {
		return w.page(root, nil, nil, 0)
	}
	inline := e.value[16:]
	if len(inline) < pageHeader || binary.LittleEndian.Uint16(inline[8:]) != flagLeaf {
		return w.damaged(id, "inline bucket without a leaf")
	}
	return w.leaf(id, inline, nil, nil)
}

// within reports whether low <= key < high, with nil as no bound.
func within(key, low, high []byte) bool {
	return bytes.Compare(key, low) >= 0 && (high == nil || bytes.Compare(key, high) < 0)
}

type branchElement struct {
	key   []byte
	child uint64
}

func branchElements(p []byte) ([]branchElement, error) {
	return elements(p, func(h []byte, at uint64) (branchElement, error) {
		le := binary.LittleEndian
		key, err := slice(p, at+uint64(le.Uint32(h)), uint64(le.Uint32(h[4:])))
		return branchElement{key: key, child: le.Uint64(h[8:])}, err
	})
}

type leafElement struct {
	flags      uint32
	key, value []byte
}

func leafElements(p []byte) ([]leafElement, error) {
	return elements(p, func(h []byte, at uint64) (leafElement, error) { return decodeLeaf(p, h, at) })
}

// decodeLeaf decodes the element h that begins at at in page p.
func decodeLeaf(p, h []byte, at uint64) (leafElement, error) {
	le := binary.LittleEndian
	pos, k, v := at+uint64(le.Uint32(h[4:])), uint64(le.Uint32(h[8:])), uint64(le.Uint32(h[12:]))
	kv, err := slice(p, pos, k+v)
	if err != nil {
		return leafElement{}, err
	}
	return leafElement{flags: le.Uint32(h), key: kv[:k], value: kv[k:]}, nil
}

// elements decodes the element table of a page; at is where an element begins.
func elements[E any](p []byte, decode func(h []byte, at uint64) (E, error)) ([]E, error) {
	n := int(binary.LittleEndian.Uint16(p[10:]))
	if pageHeader+n*pageElement > len(p) {
		return nil, fmt.Errorf("%d elements do not fit", n)
	}
	list := make([]E, 0, n)
	for i := range n {
		at := pageHeader + i*pageElement
		e, err := decode(p[at:at+pageElement], uint64(at))
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		list = append(list, e)
	}
	return list, nil
}

func slice(p []byte, from, n uint64) ([]byte, error) {
	if from+n > uint64(len(p)) {
		return nil, fmt.Errorf("reaches beyond the page")
	}
	return p[from : from+n], nil
}
