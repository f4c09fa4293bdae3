// Drives the compiled program in a folder through Pulumi's Automation API, inside this process: a command a line comes
// in as JSON, an answer a line goes out.
const path = require("node:path");
const readline = require("node:readline");
const { LocalWorkspace } = require("@pulumi/pulumi/automation");

const [folder, projectName, stackName] = process.argv.slice(2);
const entry = require.resolve(path.resolve(folder, "index.js"));

/** Evaluates the program anew in each run, as a process of its own would. */
async function program() {
    delete require.cache[entry];
    return { ...require(entry) };
}

const commands = {
    preview: async stack => ({ changes: (await stack.preview()).changeSummary }),
    up: async (stack, { expectNoChanges }) => ({ changes: (await stack.up({ expectNoChanges })).summary.resourceChanges }),
    refresh: async (stack, { expectNoChanges }) => ({ changes: (await stack.refresh({ expectNoChanges })).summary.resourceChanges }),
    destroy: async stack => ({ changes: (await stack.destroy()).summary.resourceChanges }),
    config: async (stack, { key, value, secret }) => stack.setConfig(key, { value, secret }),
    outputs: async stack => stack.outputs(),
};

async function main() {
    const stack = await LocalWorkspace.createOrSelectStack({ stackName, projectName, program });
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const request = JSON.parse(line);
        let answer;
        try {
            answer = { result: (await commands[request.command](stack, request)) ?? {} };
        } catch (error) {
            answer = { error: String(error) };
        }
        process.stdout.write(JSON.stringify(answer) + "\n");
    }
}

main();
