// Package rotate names files that have grown and are put aside: after the time at
// which that was done, so that the order of names is the order of files.
//
//	files, err := rotate.List("alerts.ndjson.")
//	err = os.Rename("alerts.ndjson", "alerts.ndjson."+rotate.Next(files, now))
package rotate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// layout is that of a stamp: UTC, in a name that every file system takes.
const layout = "20060102T150405.000Z"

// A File is what there is of one that was put aside.
type File struct {
	Stamp string
	Rests []string // what follows the stamp in its names: "", ".gz", …
}

// List finds the files whose names are a prefix, which may begin with a folder, a
// stamp, and a rest. The oldest is first.
func List(prefix string) ([]File, error) {
	dir, before := filepath.Split(prefix)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	var files []File // as the entries are: by name
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), before)
		if !ok || len(name) < len(layout) {
			continue
		}
		stamp, rest := name[:len(layout)], name[len(layout):]
		if _, err := time.Parse(layout, stamp); err != nil {
			continue
		}
		if n := len(files); n > 0 && files[n-1].Stamp == stamp {
			files[n-1].Rests = append(files[n-1].Rests, rest)
			continue
		}
		files = append(files, File{stamp, []string{rest}})
	}
	return files, nil
}

// Next is the stamp of a file that is put aside now: after all others, whatever has
// become of the clock.
func Next(files []File, now time.Time) string {
	stamp := now.UTC().Format(layout)
	if n := len(files); n > 0 && stamp <= files[n-1].Stamp {
		last, _ := time.Parse(layout, files[n-1].Stamp) // List has parsed it.
		stamp = last.Add(time.Millisecond).Format(layout)
	}
	return stamp
}

// Has reports whether one of the rests is that.
func (f *File) Has(rest string) bool { return slices.Contains(f.Rests, rest) }
