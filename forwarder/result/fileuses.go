package result

import (
	"context"
	"sync/atomic"

	"github.com/scribegate/scribegate/forwarder/result/soniox"
)

// fileUses knows which transcriptions have a file, from a look through the whole list. A
// look serves all that began to wait before it.
type fileUses struct {
	turn  chan struct{}       // holds a token during a look, so that there is one at a time
	begun atomic.Uint64       // how many looks have begun
	look  uint64              // the look that uses is from
	uses  map[string][]string // ids of transcriptions by file
	vague bool                // the list does not say which file each transcription has
}

func newFileUses() *fileUses { return &fileUses{turn: make(chan struct{}, 1)} }

// usedByOther reports whether a transcription other than id has the file, by a look that
// begins after the call. If the list does not say which files there are, another one may have
// it.
func (f *fileUses) usedByOther(ctx context.Context, api API, file, id string) (bool, error) {
	before := f.begun.Load()
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-f.turn }()
	if f.look <= before {
		if err := f.refresh(ctx, api); err != nil {
			return false, err
		}
	}
	if f.vague {
		return true, nil
	}
	for _, other := range f.uses[file] {
		if other != id {
			return true, nil
		}
	}
	return false, nil
}

// refresh goes through the list.
func (f *fileUses) refresh(ctx context.Context, api API) error {
	look, uses, vague := f.begun.Add(1), make(map[string][]string), false
	for t, err := range soniox.All(ctx, api) {
		if err != nil {
			return err
		}
		vague = vague || !t.FileListed
		if t.FileID != "" {
			uses[t.FileID] = append(uses[t.FileID], t.ID)
		}
	}
	f.look, f.uses, f.vague = look, uses, vague
	return nil
}
