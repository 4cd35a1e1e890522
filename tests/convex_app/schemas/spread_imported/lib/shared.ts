import { timestamps } from "./fields";
export default { ...timestamps, createdAt: timestamps.createdAt.optional() };
