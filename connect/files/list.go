package files

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/askback/askback/tuple"
)

// A fileList is the regular files that some patterns name, sorted, each once.
type fileList struct {
	files []inputFile
	bytes int64
	print uint64 // fingerprint of all names and lengths
}

// An inputFile is read up to size, whatever is written to it later, so that a replay reads the same.
type inputFile struct {
	path  string
	size  int64  // bytes on disk
	print uint64 // fingerprint of name and length
}

func expand(patterns, match []string) (*fileList, error) {
	if len(patterns) == 0 {
		return nil, fmt.Errorf("%w: Files was given no pattern", ErrNoFiles)
	}
	for _, m := range match {
		if !doublestar.ValidatePattern(m) {
			return nil, fmt.Errorf("files: Match(%q) is not a glob", m)
		}
	}
	found := make(map[string]inputFile) // by absolute path
	for _, p := range patterns {
		paths, err := matches(p, match)
		if err != nil {
			return nil, err
		}
		regular := 0
		for _, path := range paths {
			info, err := os.Stat(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // a link to nowhere, or a file deleted since: the glob should not have found it
			}
			if err != nil {
				return nil, outage(fmt.Errorf("files: %w", err))
			}
			if !info.Mode().IsRegular() {
				continue
			}
			regular++
			abs, err := filepath.Abs(path)
			if err != nil {
				return nil, fmt.Errorf("files: %w", err)
			}
			if _, twice := found[abs]; !twice {
				found[abs] = inputFile{path: path, size: info.Size()}
			}
		}
		if regular == 0 {
			return nil, noFiles(p, match)
		}
	}

	list := &fileList{files: make([]inputFile, 0, len(found))}
	for _, f := range found {
		list.files = append(list.files, f)
	}
	slices.SortFunc(list.files, func(a, b inputFile) int { return strings.Compare(a.path, b.path) })
	var prints []byte
	for i := range list.files {
		f := &list.files[i]
		f.print = tuple.Hash(fmt.Appendf(nil, "%d %s", f.size, f.path))
		prints = strconv.AppendUint(append(prints, ' '), f.print, 16)
		list.bytes += f.size
	}
	list.print = tuple.Hash(prints)
	return list, nil
}

// matches returns the paths that one pattern names, directories and other things perhaps among them.
func matches(pattern string, match []string) ([]string, error) {
	info, err := os.Stat(pattern)
	switch {
	case err == nil && info.IsDir():
		return below(pattern, match)
	case err == nil:
		return []string{filepath.Clean(pattern)}, nil
	case !strings.ContainsAny(pattern, `*?[{\`):
		return nil, outage(fmt.Errorf("files: %w", err))
	}
	// Without NoFollow a link to a directory above itself would be walked dozens of times.
	paths, err := doublestar.FilepathGlob(pattern, doublestar.WithNoFollow(), doublestar.WithFailOnIOErrors())
	if err != nil {
		return nil, outage(fmt.Errorf("files: expand %q: %w", pattern, err))
	}
	return paths, nil
}

// below returns the files below a directory.
func below(dir string, match []string) (paths []string, err error) {
	root, err := filepath.EvalSymlinks(dir) // WalkDir does not enter a root that is a link
	if err != nil {
		return nil, outage(fmt.Errorf("files: %w", err))
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		wanted := func(m string) bool { return doublestar.MatchUnvalidated(m, filepath.ToSlash(rel)) }
		if len(match) == 0 || slices.ContainsFunc(match, wanted) {
			paths = append(paths, filepath.Join(dir, rel))
		}
		return nil
	})
	if err != nil {
		return nil, outage(fmt.Errorf("files: list %s: %w", dir, err))
	}
	return paths, nil
}

func noFiles(pattern string, match []string) error {
	info, err := os.Stat(pattern)
	switch {
	case err != nil:
		return fmt.Errorf("%w: no regular file matches %q", ErrNoFiles, pattern)
	case !info.IsDir():
		return fmt.Errorf("%w: %s is not a regular file", ErrNoFiles, pattern)
	case len(match) > 0:
		return fmt.Errorf("%w: no regular file below %s matches %q", ErrNoFiles, pattern, match)
	}
	return fmt.Errorf("%w: there is no regular file below %s", ErrNoFiles, pattern)
}

// An openedFile reads a file's content, decompressed, up to the length on the list.
type openedFile struct {
	inputFile
	f    *os.File
	disk io.LimitedReader // the compressed bytes left on disk
	gzip *gzip.Reader     // nil: not compressed
}

// open opens a file at an offset in its content.
func (f inputFile) open(offset int64) (*openedFile, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, outage(fmt.Errorf("files: %w", err))
	}
	o := &openedFile{inputFile: f, f: file}
	if err := o.seek(offset); err != nil {
		file.Close()
		return nil, outage(fmt.Errorf("files: go to byte %d of %s: %w", offset, f.path, err))
	}
	return o, nil
}

func (o *openedFile) seek(offset int64) (err error) {
	o.disk = io.LimitedReader{R: o.f, N: o.size}
	if !strings.HasSuffix(o.path, ".gz") {
		if offset > o.size {
			return fmt.Errorf("%w: it has only %d bytes", ErrChanged, o.size)
		}
		o.disk.N -= offset
		_, err := o.f.Seek(offset, io.SeekStart)
		return err
	}
	if o.gzip, err = gzip.NewReader(&o.disk); err != nil {
		return unexpected(err)
	}
	n, err := io.CopyN(io.Discard, o.gzip, offset)
	if err == io.EOF {
		return fmt.Errorf("%w: it has only %d bytes", ErrChanged, n)
	}
	return err
}

// Read reads what is decompressed.
func (o *openedFile) Read(p []byte) (int, error) {
	if o.gzip != nil {
		n, err := o.gzip.Read(p)
		if err == io.EOF || err == nil {
			return n, err
		}
		return n, fmt.Errorf("decompress: %w", err)
	}
	n, err := o.disk.Read(p)
	if err == io.EOF && o.disk.N > 0 {
		return n, fmt.Errorf("%w: it had %d bytes and is shorter now", ErrChanged, o.size)
	}
	return n, err
}

// taken returns how many bytes on disk stand behind an offset; for a compressed file, how many have been read.
func (o *openedFile) taken(offset int64) int64 {
	if o.gzip == nil {
		return offset
	}
	return o.size - o.disk.N
}

// Close closes the file.
func (o *openedFile) Close() error {
	if err := o.f.Close(); err != nil {
		return outage(fmt.Errorf("files: %w", err))
	}
	return nil
}

// measure returns the length of the line that begins at an offset, as far as it is sensible to read on.
func (f inputFile) measure(offset int64) (length string, err error) {
	o, err := f.open(offset)
	if err != nil {
		return "", err
	}
	defer o.Close()
	const far = 1 << 30
	buf := make([]byte, readBytes)
	for n := 0; n < far; {
		k, err := o.Read(buf)
		if i := bytes.IndexByte(buf[:k], '\n'); i >= 0 {
			return strconv.Itoa(n + i), nil
		}
		n += k
		if err != nil {
			return strconv.Itoa(n), nil
		}
	}
	return "more than " + strconv.Itoa(far), nil
}

// unexpected makes an end of file where none may be an error that is not taken for the end of the input.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
