package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// containers are how the video files that we read begin.
func containers() []signature {
	return []signature{
		{4, "ftyp"}, {4, "moov"}, {4, "mdat"}, {4, "wide"}, {4, "free"}, {4, "skip"}, // MP4, MOV
		{0, "\x1aE\xdf\xa3"},    // Matroska, WebM
		{8, "AVI "},             // in RIFF
		{0, "GIF8"},             // animated GIF
		{0, "\xff\xd8\xff"},     // motion JPEG
		{0, "\x00\x00\x01\xba"}, // MPEG programme stream
		{188, "\x47"},           // MPEG transport stream: a packet's sync byte
		{0, "OggS"}, {0, "FLV"},
		{0, "\x30\x26\xb2\x75"},  // ASF, WMV
		{0, "YUV4MPEG2 "},        // uncompressed
		{0, "\x00\x00\x00\x01g"}, // bare H.264
	}
}

// A signature is the bytes found at one place of a kind of file.
type signature struct {
	offset int
	bytes  string
}

func (s signature) of(data []byte) bool {
	return len(data) >= s.offset && bytes.HasPrefix(data[s.offset:], []byte(s.bytes))
}

// checkContainer admits a file that holds its pictures itself. FFmpeg goes by
// content as well, and would take a text file for a playlist and open whatever
// other files and addresses that names.
func checkContainer(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	begin := make([]byte, 256)
	n, err := io.ReadFull(file, begin)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return err
	}
	for _, s := range containers() {
		if s.of(begin[:n]) {
			return nil
		}
	}
	return fmt.Errorf("%w: it is not a video file that we know", ErrNoPictures)
}
