package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func goldenRecords() [][]byte {
	return [][]byte{[]byte("first.record.bytes"), []byte("second"), bytes.Repeat([]byte("ab"), 700)}
}

func TestTheFrameOfABatchIsTheGoldenOne(t *testing.T) {
	got, err := frame(goldenRecords())
	if err != nil {
		t.Fatalf("frame: %v", err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "batch_v1.frame"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("frame(golden records) = %x, want %x", got, want)
	}
}

func TestAnOldGoldenBatchStillDecodes(t *testing.T) {
	packed, err := os.ReadFile(filepath.Join("testdata", "batch_v1.zst"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeBatch(packed)
	if err != nil {
		t.Fatalf("DecodeBatch(golden): %v", err)
	}
	equalRecords(t, got, goldenRecords())
}

func TestABatchComesBackAsItWas(t *testing.T) {
	full := make([][]byte, MaxBatchRecords)
	for i := range full {
		full[i] = bytes.Repeat([]byte{byte(i)}, MaxBatchBytes/MaxBatchRecords)
	}
	largest := [][]byte{
		make([]byte, MaxSize), make([]byte, MaxSize), make([]byte, MaxSize), make([]byte, MaxSize),
	}
	for name, records := range map[string][][]byte{
		"one byte":                        {{7}},
		"full, and repeating":             full,
		"largest records, all of zeroes":  largest,
		"one record that repeats without": {bytes.Repeat([]byte("x"), MaxSize)},
	} {
		t.Run(name, func(t *testing.T) {
			packed, err := EncodeBatch(records)
			if err != nil {
				t.Fatalf("EncodeBatch: %v", err)
			}
			got, err := DecodeBatch(packed)
			if err != nil {
				t.Fatalf("DecodeBatch of %d bytes: %v", len(packed), err)
			}
			equalRecords(t, got, records)
		})
	}
}

func TestABatchBeyondALimitIsNotMade(t *testing.T) {
	for name, c := range map[string]struct {
		records [][]byte
		want    error
	}{
		"no records":           {nil, ErrBatchMalformed},
		"an empty record":      {[][]byte{{1}, {}}, ErrBatchMalformed},
		"257 records":          {slicesOf(MaxBatchRecords+1, 1), ErrBatchTooLarge},
		"a record of 64 KiB+1": {slicesOf(1, MaxSize+1), ErrBatchTooLarge},
		"256 KiB+1 together":   {append(slicesOf(4, MaxSize), []byte{1}), ErrBatchTooLarge},
	} {
		if _, err := EncodeBatch(c.records); !errors.Is(err, c.want) {
			t.Errorf("%s: EncodeBatch = %v, want %v", name, err, c.want)
		}
	}
}

// hugeWindow is a frame of nine bytes that asks for a window of 512 MiB: magic,
// descriptor without size, window exponent 19, and the header of an empty block.
func hugeWindow() []byte {
	return []byte{0x28, 0xB5, 0x2F, 0xFD, 0x00, 19 << 3, 0x01, 0x00, 0x00}
}

func bomb(t testing.TB, size int) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithWindowSize(maxWindow))
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	var out bytes.Buffer
	enc.Reset(&out)
	zeroes := make([]byte, 1<<20)
	for range size >> 20 {
		if _, err := enc.Write(zeroes); err != nil {
			t.Fatal(err)
		}
	}
	if err := enc.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestABombIsRefusedWithoutSpendingMemory(t *testing.T) {
	for name, packed := range map[string][]byte{
		"nine bytes that ask for 512 MiB": hugeWindow(),
		"64 MiB of zeroes":                bomb(t, 64<<20),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := DecodeBatch(packed)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrBatchTooLarge) {
				t.Errorf("DecodeBatch(%d bytes) = %v, want ErrBatchTooLarge", len(packed), err)
			}
			if spent := after.TotalAlloc - before.TotalAlloc; spent > 8<<20 {
				t.Errorf("DecodeBatch(%d bytes) allocated %d bytes, want at most 8 MiB", len(packed), spent)
			}
		})
	}
}

func TestBytesThatAreNoBatchAreRefused(t *testing.T) {
	plain, err := frame(goldenRecords())
	if err != nil {
		t.Fatal(err)
	}
	edit := func(change func([]byte) []byte) []byte {
		return compress(t, change(bytes.Clone(plain)))
	}
	for name, c := range map[string]struct {
		packed []byte
		want   error
	}{
		"nothing":           {nil, ErrBatchMalformed},
		"not zstd":          {[]byte("records, honestly"), ErrBatchMalformed},
		"cut short":         {compress(t, plain)[:20], ErrBatchMalformed},
		"another magic":     {edit(func(b []byte) []byte { b[0] = 'X'; return b }), ErrBatchMalformed},
		"another version":   {edit(func(b []byte) []byte { b[4] = 2; return b }), ErrBatchMalformed},
		"count of none":     {edit(func(b []byte) []byte { b[6] = 0; return b[:7] }), ErrBatchMalformed},
		"count above 256":   {edit(func(b []byte) []byte { b[5] = 2; return b }), ErrBatchTooLarge},
		"one record more":   {edit(func(b []byte) []byte { b[6]++; return b }), ErrBatchMalformed},
		"one record fewer":  {edit(func(b []byte) []byte { b[6]--; return b }), ErrBatchMalformed},
		"an empty record":   {edit(func(b []byte) []byte { binary.BigEndian.PutUint32(b[7:], 0); return b }), ErrBatchMalformed},
		"an endless record": {edit(func(b []byte) []byte { binary.BigEndian.PutUint32(b[7:], 1<<32-1); return b }), ErrBatchTooLarge},
		"a byte at the end": {edit(func(b []byte) []byte { return append(b, 0) }), ErrBatchMalformed},
		"above 512 KiB":     {make([]byte, MaxFrameBytes+1), ErrBatchTooLarge},
	} {
		if got, err := DecodeBatch(c.packed); !errors.Is(err, c.want) {
			t.Errorf("%s: DecodeBatch = %d records, %v, want %v", name, len(got), err, c.want)
		}
	}
}

func FuzzDecodeBatch(f *testing.F) {
	for _, records := range [][][]byte{goldenRecords(), slicesOf(256, 3), slicesOf(4, MaxSize)} {
		packed, err := EncodeBatch(records)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	f.Add(hugeWindow())
	f.Add(bomb(f, 4<<20))
	f.Fuzz(func(t *testing.T, packed []byte) {
		records, err := DecodeBatch(packed)
		if err != nil {
			if !errors.Is(err, ErrBatchMalformed) && !errors.Is(err, ErrBatchTooLarge) {
				t.Fatalf("DecodeBatch = %v, want one of the batch errors", err)
			}
			return
		}
		again, err := EncodeBatch(records)
		if err != nil {
			t.Fatalf("EncodeBatch of what DecodeBatch returned: %v", err)
		}
		back, err := DecodeBatch(again)
		if err != nil {
			t.Fatalf("DecodeBatch of what EncodeBatch returned: %v", err)
		}
		equalRecords(t, back, records)
	})
}

func compress(t *testing.T, plain []byte) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	return pad(enc.EncodeAll(plain, nil), len(plain))
}

func slicesOf(n, size int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = bytes.Repeat([]byte{byte(i + 1)}, size)
	}
	return out
}

func equalRecords(t *testing.T, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("DecodeBatch = %d records, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("DecodeBatch: record %d of %d bytes differs from the one sent, of %d", i, len(got[i]), len(want[i]))
		}
	}
}
