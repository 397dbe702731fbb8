package examine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/edgeverify/edgeverify/agent/verify"
	"github.com/edgeverify/edgeverify/inference"
)

// portraitReading is what the pictures of the document showed.
type portraitReading struct {
	faces     int
	described *Reference
	quality   []verify.ImageQuality
	run       time.Duration
}

// readDocument describes the portrait on the document's front, which is its
// largest face. A much smaller one is the ghost image that cards carry beside it;
// one of similar size may be the holder's, or that of whoever holds the card, and
// makes it unclear whose portrait there is.
func (e *examination) readDocument(ctx context.Context) (portraitReading, error) {
	var out portraitReading
	for _, side := range []struct {
		input verify.Input
		given bool
	}{{verify.DocumentFront, e.request.DocumentFront != nil}, {verify.DocumentBack, e.request.DocumentBack != nil}} {
		if !side.given || !e.wants(verify.Quality) {
			continue
		}
		frame := e.request.DocumentFront
		if side.input == verify.DocumentBack {
			frame = e.request.DocumentBack
		}
		q, err := e.assessDocument(side.input, frame)
		if err != nil {
			return out, err
		}
		out.quality = append(out.quality, q)
	}
	if e.request.DocumentFront == nil || e.request.Reference != nil || !e.wants(verify.FaceMatch) {
		return out, ctx.Err()
	}
	var meter inference.Meter
	front := e.request.DocumentFront
	seen := e.picture(front)
	faces, err := e.find(seen, inference.DocumentSearches(), &meter)
	if err != nil {
		return out, err
	}
	if len(faces) > 0 {
		portrait := sight{frame: front, picture: seen, faces: 1, face: slices.MaxFunc(faces, func(a, b inference.Face) int {
			return cmp.Compare(a.Box.Area(), b.Box.Area())
		})}
		out.faces = standing(faces, portrait.face)
		if e.wants(verify.Quality) {
			mirrored, err := e.glare(front, portrait.face.Box)
			if err != nil {
				return out, err
			}
			out.quality[0].Findings = append(out.quality[0].Findings, mirrored...)
		}
		out.described, _, err = e.describe(portrait, "", &meter)
	}
	out.run = meter.Run
	return out, err
}
