// Command sdkgen generates the SDKs from the package's schema with Pulumi's own generators.
//
// It validates the schema against Pulumi's metaschema and binds it first, and takes a warning for an error.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"

	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"

	gogen "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	nodegen "github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	pygen "github.com/pulumi/pulumi/pkg/v3/codegen/python"
)

const (
	tool      = "sdkgen"
	pulumiSDK = "github.com/pulumi/pulumi/sdk/v3"
)

func main() {
	schemaFile := flag.String("schema", "schema.json", "the schema to read")
	out := flag.String("out", "", "the folder for nodejs/, python/ and go/, whose contents are replaced; none only checks the schema")
	flag.Parse()
	if err := run(*schemaFile, *out); err != nil {
		fmt.Fprintln(os.Stderr, "sdkgen:", err)
		os.Exit(1)
	}
}

func run(schemaFile, out string) error {
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		return err
	}
	if _, err := bind(text); err != nil {
		return fmt.Errorf("%s: %w", schemaFile, err)
	}
	if out == "" {
		return nil
	}
	for language, generate := range map[string]func(*schema.Package) (map[string][]byte, error){
		"nodejs": func(pkg *schema.Package) (map[string][]byte, error) {
			// As a local SDK, which compiles itself when npm installs it: the package in this repository is used as it is.
			return nodegen.GeneratePackage(tool, pkg, nil, nil, true, nil)
		},
		"python": func(pkg *schema.Package) (map[string][]byte, error) {
			return pygen.GeneratePackage(tool, pkg, nil, nil)
		},
		"go": func(pkg *schema.Package) (map[string][]byte, error) {
			return gogen.GeneratePackage(tool, pkg, nil)
		},
	} {
		// Bound anew for each: generators write into the package that they are given.
		pkg, err := bind(text)
		if err != nil {
			return err
		}
		files, err := generate(pkg)
		if err != nil {
			return fmt.Errorf("failed to generate the %s SDK: %w", language, err)
		}
		if err := replace(filepath.Join(out, language), files); err != nil {
			return fmt.Errorf("failed to write the %s SDK: %w", language, err)
		}
	}
	return pinGoModule(filepath.Join(out, "go"))
}

// pinGoModule completes the generated go.mod: the Pulumi SDK of this program's own pin, and the checksums.
func pinGoModule(folder string) error {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("sdkgen was built without module information")
	}
	for _, dependency := range build.Deps {
		if dependency.Path != pulumiSDK {
			continue
		}
		for _, arguments := range [][]string{{"mod", "edit", "-go=1.25.0", "-require=" + pulumiSDK + "@" + dependency.Version}, {"mod", "tidy"}} {
			command := exec.Command("go", arguments...)
			command.Dir = folder
			command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOTOOLCHAIN=local")
			if output, err := command.CombinedOutput(); err != nil {
				return fmt.Errorf("failed to run %s: %w\n%s", command, err, output)
			}
		}
		return nil
	}
	return errors.New("sdkgen was built without " + pulumiSDK)
}

func bind(text []byte) (*schema.Package, error) {
	var spec schema.PackageSpec
	if err := json.Unmarshal(text, &spec); err != nil {
		return nil, err
	}
	pkg, diagnostics, err := schema.BindSpec(spec, schema.NewNullLoader(), schema.ValidationOptions{})
	if err != nil {
		return nil, err
	}
	for _, diagnostic := range diagnostics {
		fmt.Fprintln(os.Stderr, diagnostic.Error())
	}
	if len(diagnostics) > 0 {
		return nil, errors.New("the schema does not bind without a warning")
	}
	return pkg, nil
}

// replace writes files below folder, in the place of what was there.
func replace(folder string, files map[string][]byte) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	for path, content := range files {
		path = filepath.Join(folder, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
