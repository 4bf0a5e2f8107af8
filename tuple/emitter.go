package tuple

// An Emitter takes the tuples that a spout or a bolt emits. It belongs to the task's goroutine: use it only inside the
// call that it was handed to, never from another goroutine.
type Emitter interface {
	// Row begins a tuple on the default stream. The values follow, one call each, and Emit ends it:
	//
	//	out.Row().Bytes(word).Int(1).Emit()
	//
	// The row is reused by the next call of Row; nothing is allocated.
	Row() *Row
	// Emit emits a whole tuple on the default stream. It is convenient, and slower than Row.
	Emit(values ...any) error
	// On returns the emitter of a named stream that the operator declares. An unknown name gives an emitter
	// whose every Emit fails with an error that names it.
	On(stream string) Emitter
}
