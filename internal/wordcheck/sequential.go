package wordcheck

import (
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// isWord holds the bytes that words are made of: a word is a maximal run of them.
var isWord = func() (is [256]bool) {
	for c := range is {
		is[c] = '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '_'
	}
	return is
}()

// sequential counts the words of the input in the plainest way, without any part of the runtime.
func sequential(s *settings) (map[string]int64, error) {
	files, err := inputFiles(s.paths)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int64)
	for file := range files {
		data, err := contents(file)
		if err != nil {
			return nil, err
		}
		start := -1
		for i, c := range data {
			switch {
			case isWord[c] && start < 0:
				start = i
			case !isWord[c] && start >= 0:
				counts[string(data[start:i])] += int64(s.passes)
				start = -1
			}
		}
		if start >= 0 {
			counts[string(data[start:])] += int64(s.passes)
		}
	}
	return counts, nil
}

// inputFiles lists what the paths name.
func inputFiles(paths []string) (map[string]bool, error) {
	files := make(map[string]bool)
	onlyGo := len(paths) == 0
	if onlyGo {
		root, err := goRoot()
		if err != nil {
			return nil, err
		}
		paths = []string{root}
	}
	for _, path := range paths {
		found := []string{path}
		if _, err := os.Stat(path); err != nil {
			if found, err = doublestar.FilepathGlob(path, doublestar.WithFilesOnly()); err != nil {
				return nil, err
			}
		}
		for _, f := range found {
			// A directory that a path names is followed even if it is a link.
			if real, err := filepath.EvalSymlinks(f); err == nil {
				if info, err := os.Stat(real); err == nil && info.IsDir() {
					f = real
				}
			}
			err := filepath.WalkDir(f, func(p string, d fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				info, err := os.Stat(p)
				if err == nil && info.Mode().IsRegular() && (!onlyGo || strings.HasSuffix(p, ".go")) {
					files[p] = true
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

func contents(path string) ([]byte, error) {
	if !strings.HasSuffix(path, ".gz") {
		return os.ReadFile(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return io.ReadAll(z)
}

// goRoot returns the directory of Go's own source.
func goRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find Go's own source (give paths instead): %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "src"), nil
}
