package vectorfile

import (
	"io"

	"github.com/parquet-go/parquet-go"
)

// groupRows is the number of rows of a Parquet row group, which is held in memory.
const groupRows = 4096

// parquetFile writes Parquet: embeddings as lists of float32, strings that repeat as
// dictionaries.
type parquetFile struct {
	w    *parquet.GenericWriter[Row]
	rows int // of the group under way
}

func newParquet(w io.Writer) *parquetFile {
	return &parquetFile{w: parquet.NewGenericWriter[Row](w, parquet.Compression(&parquet.Snappy),
		parquet.CreatedBy("avjepa", "1", ""))}
}

func (p *parquetFile) add(r *Row) error {
	if _, err := p.w.Write([]Row{*r}); err != nil {
		return err
	}
	if p.rows++; p.rows < groupRows {
		return nil
	}
	p.rows = 0
	return p.w.Flush()
}

func (p *parquetFile) close() error { return p.w.Close() }
