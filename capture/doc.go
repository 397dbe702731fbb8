// Package capture turns light into frames: it opens cameras, video files,
// streams, pictures and folders, decodes uploaded images within limits, measures
// the quality of a picture, and notices when a source lies (frozen, repeated or
// out of order).
//
// It owns everything that touches OpenCV. A [Frame] is plain Go memory, so no
// Mat leaves the package and no caller has to close one.
//
// It does not know what a face, a document or a verification is: the caller
// says which [Region] of a picture matters, and what to do with the figures.
package capture
