package boltpages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Find returns what can be decoded of page id of a file with that many pages, if
// it is a leaf: its elements, and those of small buckets that live within it.
// The page may be free, or belong to any bucket. What cannot be read is left
// out: a bad sector costs its page.
func Find(f io.ReaderAt, pageSize int, id, pages uint64) []Element {
	size := uint64(pageSize)
	head := make([]byte, pageHeader)
	if _, err := f.ReadAt(head, int64(id*size)); err != nil {
		return nil
	}
	n := uint64(binary.LittleEndian.Uint32(head[12:])) + 1
	if binary.LittleEndian.Uint16(head[8:]) != flagLeaf || n > pages-id {
		return nil
	}
	p := make([]byte, n*size)
	if _, err := f.ReadAt(p, int64(id*size)); err != nil {
		return nil
	}
	var found []Element
	count := min(int(binary.LittleEndian.Uint16(p[10:])), (len(p)-pageHeader)/pageElement)
	for i := range count {
		at := pageHeader + i*pageElement
		e, err := decodeLeaf(p, p[at:at+pageElement], uint64(at))
		switch {
		case err != nil:
		case e.flags == leafBucket && len(e.Value) >= 16+pageHeader:
			if inline, err := leafElements(e.Value[16:]); err == nil {
				found = append(found, inline...)
			}
		default:
			found = append(found, e)
		}
	}
	return found
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

// Element is a key with its value, as a leaf page holds them.
type Element struct {
	Key, Value []byte

	flags uint32
}

func leafElements(p []byte) ([]Element, error) {
	return elements(p, func(h []byte, at uint64) (Element, error) { return decodeLeaf(p, h, at) })
}

// decodeLeaf decodes the element h that begins at at in page p.
func decodeLeaf(p, h []byte, at uint64) (Element, error) {
	le := binary.LittleEndian
	pos, k, v := at+uint64(le.Uint32(h[4:])), uint64(le.Uint32(h[8:])), uint64(le.Uint32(h[12:]))
	kv, err := slice(p, pos, k+v)
	if err != nil {
		return Element{}, err
	}
	return Element{flags: le.Uint32(h), Key: kv[:k], Value: kv[k:]}, nil
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
		return nil, errors.New("reaches beyond the page")
	}
	return p[from : from+n], nil
}
