// Package drive drives a program through Pulumi's Automation API, inside this process: a command a line comes in as JSON,
// an answer a line goes out.
package drive

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

type request struct {
	Command         string
	ExpectNoChanges bool
	Key, Value      string
	Secret          bool
}

type output struct {
	Value  any  `json:"value"`
	Secret bool `json:"secret"`
}

// Main serves until its input ends, then leaves the process. The project and the stack are told by the environment
// (DRIVE_PROJECT, DRIVE_STACK), since the arguments belong to the test binary around it.
func Main(program pulumi.RunFunc) {
	ctx := context.Background()
	stack, err := auto.UpsertStackInlineSource(ctx, os.Getenv("DRIVE_STACK"), os.Getenv("DRIVE_PROJECT"), program)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lines := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var request request
		answer := map[string]any{}
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			answer["error"] = err.Error()
		} else if result, err := execute(ctx, stack, request); err != nil {
			answer["error"] = err.Error()
		} else {
			answer["result"] = result
		}
		if err := answers.Encode(answer); err != nil {
			os.Exit(1)
		}
	}
	os.Exit(0)
}

func execute(ctx context.Context, stack auto.Stack, request request) (any, error) {
	switch request.Command {
	case "preview":
		result, err := stack.Preview(ctx)
		return changes(result.ChangeSummary), err
	case "up":
		var options []optup.Option
		if request.ExpectNoChanges {
			options = append(options, optup.ExpectNoChanges())
		}
		result, err := stack.Up(ctx, options...)
		return changes(result.Summary.ResourceChanges), err
	case "refresh":
		var options []optrefresh.Option
		if request.ExpectNoChanges {
			options = append(options, optrefresh.ExpectNoChanges())
		}
		result, err := stack.Refresh(ctx, options...)
		return changes(result.Summary.ResourceChanges), err
	case "destroy":
		result, err := stack.Destroy(ctx)
		return changes(result.Summary.ResourceChanges), err
	case "config":
		return struct{}{}, stack.SetConfig(ctx, request.Key, auto.ConfigValue{Value: request.Value, Secret: request.Secret})
	case "outputs":
		values, err := stack.Outputs(ctx)
		outputs := map[string]output{}
		for name, value := range values {
			outputs[name] = output{value.Value, value.Secret}
		}
		return outputs, err
	default:
		return nil, fmt.Errorf("unknown command %q", request.Command)
	}
}

func changes(summary any) any {
	return map[string]any{"changes": summary}
}
