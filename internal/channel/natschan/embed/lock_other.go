//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package embed

import "os"

// lock only opens the file: this system has no lock that ends with its process.
func lock(path string) (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) }

func unlock(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}
