// Which of the two cores loads, and with what permissions: each in a process of its own.
import { assertEquals, assertMatch } from "@std/assert";

const CORE = new URL("../lib/core.ts", import.meta.url);

/** Runs a program without any permission. Returns what it prints. */
async function run(program: string): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-lock", "--ext=js", "-"],
    cwd: new URL("../", import.meta.url), // for the import map
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  const child = command.spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(program));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder();
  assertEquals(code, 0, text.decode(stderr));
  return text.decode(stdout).trim();
}

Deno.test("core_module.js loads core.wasm where the engine has relaxed SIMD", async () => {
  const version = await run(`
    const { Core } = await import("${CORE}");
    console.log(new Core().version);`);
  assertMatch(version, /^mbedtls-3\.6\.\d+\+[0-9a-f]{8}$/);
});

Deno.test("core_module.js loads core.simd.wasm where the engine lacks relaxed SIMD", async () => {
  const version = await run(`
    WebAssembly.validate = () => false;
    const { Core } = await import("${CORE}");
    console.log(new Core().version);`);
  assertMatch(version, /^mbedtls-3\.6\.\d+\+[0-9a-f]{8}\.simd$/);
});

Deno.test("core_module.js asks the engine about relaxed SIMD with a module that is otherwise valid", async () => {
  // The same module with the opcode of relaxed SIMD's i8x16.relaxed_swizzle (0x100) changed to i8x16.swizzle (0x0e).
  const answers = await run(`
    const validate = WebAssembly.validate;
    WebAssembly.validate = (bytes) => {
      const at = bytes.lastIndexOf(0xfd);
      const plain = bytes.with(at + 1, 0x8e).with(at + 2, 0x00);
      console.log(validate(bytes), validate(plain));
      return true;
    };
    await import("${CORE}");`);
  assertEquals(answers, "true true");
});

Deno.test("core.simd.wasm imports and exports what core.wasm does", async () => {
  const [relaxed, plain] = await Promise.all(["core", "core.simd"].map(async (name) => {
    const bytes = await Deno.readFile(new URL(`../wasm/dist/${name}.wasm`, import.meta.url));
    const module = new WebAssembly.Module(bytes);
    return { imports: WebAssembly.Module.imports(module), exports: WebAssembly.Module.exports(module) };
  }));
  assertEquals(plain, relaxed);
});
