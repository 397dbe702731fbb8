// Package outboxtest cuts the power in tests. It owns a file system of one flat
// folder, in memory under FUSE, that knows for every byte and every name
// whether it was synced, and on Cut forgets, wholly or in part, what was not.
// It knows nothing of the outbox. It needs /dev/fuse and the right to mount.
package outboxtest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Lossy is a mounted file system.
type Lossy struct {
	server *fuse.Server

	mu      sync.Mutex
	names   map[string]*file // as a running process sees them
	durable map[string]*file // as of the folder's last fsync
	journal []rename         // since then, in order
	syncErr syscall.Errno    // what fsync of a file answers
	syncs   int
}

// rename is a change of names: creating has no from, unlinking no to.
type rename struct {
	from, to string
	file     *file
}

// Mount mounts an empty Lossy on dir.
func Mount(dir string) (*Lossy, error) {
	l := &Lossy{names: map[string]*file{}, durable: map[string]*file{}}
	server, err := fs.Mount(dir, &folder{lossy: l}, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "lossy", Name: "lossy"},
	})
	if err != nil {
		return nil, err
	}
	l.server = server
	return l, nil
}

// Unmount ends the file system.
func (l *Lossy) Unmount() error { return l.server.Unmount() }

// FailSync makes every later fsync of a file drop what was to be synced and
// answer errno, as Linux does after a write error; 0 ends that.
func (l *Lossy) FailSync(errno syscall.Errno) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.syncErr = errno
}

// Syncs returns how many times a file was synced with success.
func (l *Lossy) Syncs() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.syncs
}

// Cut returns the files as a disk may hold them when the power goes now: all
// that was synced, and of the rest nothing (sector 0), or each sector of that
// many bytes with even odds. Of the changes of names since the last fsync of the
// folder, a random number of the first is there.
func (l *Lossy) Cut(rng *rand.Rand, sector int) map[string][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := map[string]*file{}
	for n, f := range l.durable {
		names[n] = f
	}
	kept := 0
	if sector > 0 {
		kept = rng.IntN(len(l.journal) + 1)
	}
	for _, r := range l.journal[:kept] {
		delete(names, r.from)
		if r.to != "" {
			names[r.to] = r.file
		}
	}
	files := map[string][]byte{}
	for n, f := range names {
		files[n] = f.after(rng, sector)
	}
	return files
}

// file is one file. Its fields are guarded by the mutex of its file system.
type file struct {
	fs.Inode
	lossy   *Lossy
	data    []byte // as a running process sees it
	synced  []byte
	pending []write
}

// write is a change that was not synced: bytes at an offset, or a new length.
type write struct {
	off      int64
	data     []byte
	truncate bool
}

func (f *file) after(rng *rand.Rand, sector int) []byte {
	disk := slices.Clone(f.synced)
	if sector == 0 {
		return disk
	}
	for _, w := range f.pending {
		if w.truncate {
			if rng.IntN(2) == 0 {
				disk = resize(disk, w.off)
			}
			continue
		}
		for chunk := range slices.Chunk(w.data, sector) {
			if rng.IntN(2) == 0 {
				disk = resize(disk, max(int64(len(disk)), w.off+int64(len(chunk))))
				copy(disk[w.off:], chunk)
			}
			w.off += int64(len(chunk))
		}
	}
	return disk
}

func resize(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		return b[:n]
	}
	return append(b, make([]byte, n-int64(len(b)))...)
}

func (f *file) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, 0
}

func (f *file) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	f.lossy.mu.Lock()
	defer f.lossy.mu.Unlock()
	if off >= int64(len(f.data)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(dest[:copy(dest, f.data[off:])]), 0
}

func (f *file) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	f.lossy.mu.Lock()
	defer f.lossy.mu.Unlock()
	f.data = resize(f.data, max(int64(len(f.data)), off+int64(len(data))))
	copy(f.data[off:], data)
	f.pending = append(f.pending, write{off: off, data: slices.Clone(data)})
	return uint32(len(data)), 0
}

func (f *file) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	f.lossy.mu.Lock()
	defer f.lossy.mu.Unlock()
	if f.lossy.syncErr != 0 {
		f.pending = nil // the kernel drops them and reports it once
		return f.lossy.syncErr
	}
	for _, w := range f.pending {
		if w.truncate {
			f.synced = resize(f.synced, w.off)
			continue
		}
		f.synced = resize(f.synced, max(int64(len(f.synced)), w.off+int64(len(w.data))))
		copy(f.synced[w.off:], w.data)
	}
	f.pending = nil
	f.lossy.syncs++
	return 0
}

func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.lossy.mu.Lock()
	defer f.lossy.mu.Unlock()
	out.Mode, out.Size = syscall.S_IFREG|0o600, uint64(len(f.data))
	return 0
}

func (f *file) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		f.setSize(int64(size))
	}
	return f.Getattr(ctx, h, out)
}

func (f *file) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, _ uint32) syscall.Errno {
	f.setSize(int64(off + size))
	return 0
}

func (f *file) setSize(n int64) {
	f.lossy.mu.Lock()
	defer f.lossy.mu.Unlock()
	f.data = resize(f.data, n)
	f.pending = append(f.pending, write{off: n, truncate: true})
}

// folder is the root.
type folder struct {
	fs.Inode
	lossy *Lossy
}

func (d *folder) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = syscall.S_IFDIR | 0o700
	return 0
}

func (d *folder) Create(ctx context.Context, name string, _, _ uint32, _ *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	f := &file{lossy: d.lossy}
	inode := d.NewPersistentInode(ctx, f, fs.StableAttr{Mode: syscall.S_IFREG})
	d.lossy.change(rename{to: name, file: f})
	return inode, nil, 0, 0
}

func (d *folder) Unlink(_ context.Context, name string) syscall.Errno {
	d.lossy.change(rename{from: name})
	return 0
}

func (d *folder) Rename(_ context.Context, from string, _ fs.InodeEmbedder, to string, _ uint32) syscall.Errno {
	d.lossy.mu.Lock()
	f := d.lossy.names[from]
	d.lossy.mu.Unlock()
	d.lossy.change(rename{from: from, to: to, file: f})
	return 0
}

func (d *folder) Link(_ context.Context, target fs.InodeEmbedder, name string, _ *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	f, ok := target.(*file)
	if !ok {
		return nil, syscall.EPERM
	}
	d.lossy.change(rename{to: name, file: f})
	return f.EmbeddedInode(), 0
}

func (d *folder) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	l := d.lossy
	l.mu.Lock()
	defer l.mu.Unlock()
	l.journal = nil
	l.durable = map[string]*file{}
	for n, f := range l.names {
		l.durable[n] = f
	}
	return 0
}

func (l *Lossy) change(r rename) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.names, r.from)
	if r.to != "" {
		l.names[r.to] = r.file
	}
	l.journal = append(l.journal, r)
}
