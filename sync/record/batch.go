package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Limits of one batch. Sender and receiver hold to the same ones, so that a
// batch that could be made can always be read.
const (
	// MaxBatchRecords bounds the records of one batch.
	MaxBatchRecords = 256
	// MaxBatchBytes bounds the bytes of a batch's records together, before
	// framing and compression.
	MaxBatchBytes = 256 << 10
	// MaxFrameBytes bounds one encoded batch as it travels.
	MaxFrameBytes = 512 << 10
)

const (
	batchMagic      = "IDVB"
	batchVersion    = 1
	batchHeaderSize = len(batchMagic) + 1 + 2
	batchLengthSize = 4

	// maxRatio bounds how much larger than itself a frame may unpack.
	maxRatio = 20
	// maxWindow bounds the history a frame may ask the decoder to keep: nine
	// bytes on the wire can otherwise claim 512 MiB.
	maxWindow = 512 << 10
	// maxDecoderMemory bounds what the decoder may allocate for one frame.
	maxDecoderMemory = 4 << 20
	maxUnpacked      = batchHeaderSize + MaxBatchRecords*batchLengthSize + MaxBatchBytes
	// skippableMagic begins a zstd frame that every decoder passes over
	// (RFC 8878, 3.1.2).
	skippableMagic = 0x184D2A50
)

var (
	// ErrBatchMalformed marks bytes that are no batch.
	ErrBatchMalformed = errors.New("malformed batch")
	// ErrBatchTooLarge marks a batch above one of the limits.
	ErrBatchTooLarge = errors.New("batch too large")
)

// EncodeBatch frames 1 to MaxBatchRecords records, of 1 to MaxSize bytes each
// and of MaxBatchBytes together, for one delivery, and compresses the frame:
//
//	zstd( "IDVB" | version 1 | count, 2 bytes | { length, 4 bytes | record }… )
//
// Numbers are big-endian. The records are carried as they are. An error wraps
// ErrBatchMalformed or ErrBatchTooLarge.
func EncodeBatch(records [][]byte) ([]byte, error) {
	plain, err := frame(records)
	if err != nil {
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(maxWindow/2), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	packed := enc.EncodeAll(plain, nil)
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	return pad(packed, len(plain)), nil
}

// pad lengthens a frame that compresses better than DecodeBatch admits by a
// frame without content: records that happen to repeat must not get stuck.
func pad(packed []byte, unpacked int) []byte {
	least := (unpacked + maxRatio - 1) / maxRatio
	if len(packed) >= least {
		return packed
	}
	padding := least - len(packed)
	packed = binary.LittleEndian.AppendUint32(packed, skippableMagic)
	packed = binary.LittleEndian.AppendUint32(packed, uint32(padding))
	return append(packed, make([]byte, padding)...)
}

// DecodeBatch returns the records that EncodeBatch framed. It reads bytes of
// unknown origin: an input above MaxFrameBytes, one that unpacks to more than
// maxRatio times itself or to more than a full batch, and one that asks for
// more memory than a batch needs are refused before that memory is spent. The
// records share one allocation. An error wraps ErrBatchMalformed or
// ErrBatchTooLarge.
func DecodeBatch(packed []byte) ([][]byte, error) {
	if len(packed) > MaxFrameBytes {
		return nil, fmt.Errorf("decode batch: %w: %d bytes, at most %d", ErrBatchTooLarge, len(packed), MaxFrameBytes)
	}
	plain, err := unpack(packed)
	if err != nil {
		return nil, fmt.Errorf("decode batch: %w", err)
	}
	records, err := unframe(plain)
	if err != nil {
		return nil, fmt.Errorf("decode batch: %w", err)
	}
	return records, nil
}

func frame(records [][]byte) ([]byte, error) {
	if len(records) == 0 {
		return nil, fmt.Errorf("%w: no records", ErrBatchMalformed)
	}
	if len(records) > MaxBatchRecords {
		return nil, fmt.Errorf("%w: %d records, at most %d", ErrBatchTooLarge, len(records), MaxBatchRecords)
	}
	size := 0
	for i, r := range records {
		if len(r) == 0 {
			return nil, fmt.Errorf("%w: record %d is empty", ErrBatchMalformed, i)
		}
		if len(r) > MaxSize {
			return nil, fmt.Errorf("%w: record %d has %d bytes, at most %d", ErrBatchTooLarge, i, len(r), MaxSize)
		}
		size += len(r)
	}
	if size > MaxBatchBytes {
		return nil, fmt.Errorf("%w: %d bytes of records, at most %d", ErrBatchTooLarge, size, MaxBatchBytes)
	}
	plain := make([]byte, 0, batchHeaderSize+len(records)*batchLengthSize+size)
	plain = append(plain, batchMagic...)
	plain = append(plain, batchVersion)
	plain = binary.BigEndian.AppendUint16(plain, uint16(len(records)))
	for _, r := range records {
		plain = binary.BigEndian.AppendUint32(plain, uint32(len(r)))
		plain = append(plain, r...)
	}
	return plain, nil
}

// unpack decompresses as a stream, because the one-shot decoder allocates the
// size that the frame claims before it reads a byte of content.
func unpack(packed []byte) ([]byte, error) {
	dec, err := zstd.NewReader(bytes.NewReader(packed),
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxDecoderMemory), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBatchMalformed, err)
	}
	defer dec.Close()
	most := min(maxUnpacked, maxRatio*len(packed))
	plain, err := io.ReadAll(io.LimitReader(dec, int64(most)+1))
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return nil, fmt.Errorf("%w: %w", ErrBatchTooLarge, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrBatchMalformed, err)
	case len(plain) > most:
		return nil, fmt.Errorf("%w: unpacks to more than %d bytes", ErrBatchTooLarge, most)
	}
	return plain, nil
}

func unframe(plain []byte) ([][]byte, error) {
	if len(plain) < batchHeaderSize || string(plain[:len(batchMagic)]) != batchMagic {
		return nil, fmt.Errorf("%w: not a batch", ErrBatchMalformed)
	}
	if v := plain[len(batchMagic)]; v != batchVersion {
		return nil, fmt.Errorf("%w: version %d, want %d", ErrBatchMalformed, v, batchVersion)
	}
	count := int(binary.BigEndian.Uint16(plain[len(batchMagic)+1:]))
	if count == 0 {
		return nil, fmt.Errorf("%w: no records", ErrBatchMalformed)
	}
	if count > MaxBatchRecords {
		return nil, fmt.Errorf("%w: %d records, at most %d", ErrBatchTooLarge, count, MaxBatchRecords)
	}
	rest := plain[batchHeaderSize:]
	records := make([][]byte, 0, count)
	total := 0
	for i := range count {
		if len(rest) < batchLengthSize {
			return nil, fmt.Errorf("%w: ends before record %d", ErrBatchMalformed, i)
		}
		n := binary.BigEndian.Uint32(rest)
		rest = rest[batchLengthSize:]
		switch {
		case n == 0:
			return nil, fmt.Errorf("%w: record %d is empty", ErrBatchMalformed, i)
		case n > MaxSize:
			return nil, fmt.Errorf("%w: record %d has %d bytes, at most %d", ErrBatchTooLarge, i, n, MaxSize)
		case uint64(n) > uint64(len(rest)):
			return nil, fmt.Errorf("%w: ends inside record %d", ErrBatchMalformed, i)
		}
		records = append(records, rest[:n:n])
		rest = rest[n:]
		total += int(n)
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after the last record", ErrBatchMalformed, len(rest))
	}
	if total > MaxBatchBytes {
		return nil, fmt.Errorf("%w: %d bytes of records, at most %d", ErrBatchTooLarge, total, MaxBatchBytes)
	}
	return records, nil
}
