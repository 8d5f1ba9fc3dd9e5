//go:build !linux || (!amd64 && !arm64)

package pagecache

import "errors"

// Drop needs Linux.
func Drop(string) (float64, error) {
	return 0, errors.New("dropping a file from the page cache is written for Linux on amd64 and arm64 only")
}
