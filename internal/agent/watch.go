package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Settle is how long after a change of a file others are waited for, so that a folder
// that is being copied is read once.
const Settle = 300 * time.Millisecond

// Watch calls changed when something below the paths may have changed, until ctx
// ends. After the first change it waits until after, which is given Settle, tells
// that the time has passed. It returns once it watches; what cannot be watched is in
// the error, and the rest is. Paths that are not there yet are waited for in the
// folder above.
func Watch(ctx context.Context, paths []string, after func(time.Duration) <-chan time.Time, changed func()) (wait func(), err error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return func() {}, err
	}
	err = watchAll(w, paths)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.Close()
		var due <-chan time.Time
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-w.Events:
				if concerns(e.Name, paths) && due == nil { // also of a mode alone: it may be readable now
					due = after(Settle)
				}
			case <-w.Errors: // Events were lost: look for ourselves.
				if due == nil {
					due = after(Settle)
				}
			case <-due:
				due = nil
				watchAll(w, paths) // New folders too; what fails is tried at the next change.
				changed()
			}
		}
	}()
	return func() { <-done }, err
}

// concerns reports whether a name is one of the paths or below one.
func concerns(name string, paths []string) bool {
	for _, p := range paths {
		p = filepath.Clean(p)
		if name == p || strings.HasPrefix(name, strings.TrimSuffix(p, "/")+"/") {
			return true
		}
		// A link that is swung to another folder, as Kubernetes does it.
		if filepath.Dir(name) == filepath.Dir(p) && strings.HasPrefix(filepath.Base(name), "..") {
			return true
		}
	}
	return false
}

// watchAll watches the folders that the paths name, and those that files are in.
func watchAll(w *fsnotify.Watcher, paths []string) error {
	var errs []error
	have := w.WatchList()
	add := func(dir string) {
		if !slices.Contains(have, dir) {
			if err := w.Add(dir); err != nil {
				errs = append(errs, err)
			}
		}
	}
	for _, p := range paths {
		p = filepath.Clean(p)
		add(filepath.Dir(p)) // It may be replaced as a whole.
		if info, err := os.Stat(p); err != nil || !info.IsDir() {
			continue
		}
		add(p)
		filepath.WalkDir(p, func(dir string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && dir != p {
				if strings.HasPrefix(d.Name(), ".") {
					return fs.SkipDir
				}
				add(dir)
			}
			return nil
		})
	}
	return errors.Join(errs...)
}
